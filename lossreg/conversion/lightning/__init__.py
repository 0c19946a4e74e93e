"""LightningCLI: its YAML."""

from lossreg.conversion.lightning.reading import read
from lossreg.conversion.lightning.writing import write

__all__ = ["read", "write"]
