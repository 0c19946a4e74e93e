"""Hydra: YAML of which `hydra.utils.instantiate` makes objects."""

from lossreg.conversion.hydra.reading import read
from lossreg.conversion.hydra.writing import write

__all__ = ["read", "write"]
