"""MMEngine and OpenMMLab: configs, which are Python files of literals."""

from lossreg.conversion.mmengine.reading import read
from lossreg.conversion.mmengine.writing import write

__all__ = ["read", "write"]
