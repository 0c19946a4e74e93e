"""The version of torch, without its import: rows name what only a newer one has."""

from __future__ import annotations

import re
import sys
from importlib.machinery import PathFinder
from pathlib import Path


def torch_version() -> tuple[int, int]:
    """Major and minor version of the torch that an import would find; without one, the oldest there can be.

    Example:
        >>> torch_version() >= (2, 11)
        True
    """
    loaded = sys.modules.get("torch")
    if loaded is not None and hasattr(loaded, "__version__"):
        return _numbers(str(loaded.__version__))
    spec = PathFinder.find_spec("torch")  # its metadata take ten times as long to find
    if spec is None or spec.origin is None:
        return 0, 0
    try:
        text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    except OSError:  # another module of this name
        return 0, 0
    return _numbers(text.partition("__version__ = ")[2])


def _numbers(version: str) -> tuple[int, int]:
    """The first two numbers of a version, also behind a quotation mark."""
    found = re.match(r"""['"]?(\d+)\.(\d+)""", version)
    return (int(found[1]), int(found[2])) if found else (0, 0)
