"""timm: the args.yaml that its train.py writes, and the command line of that."""

from lossreg.conversion.timm.reading import read
from lossreg.conversion.timm.writing import write

__all__ = ["read", "write"]
