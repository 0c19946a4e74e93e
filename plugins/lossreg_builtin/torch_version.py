"""The version of torch, without its import: rows name what only a newer one has."""

from __future__ import annotations

import re
from importlib.machinery import PathFinder
from pathlib import Path


def torch_version() -> tuple[int, int]:
    """Major and minor version of the torch that an import would find; without one, the oldest there can be.

    Example:
        >>> torch_version() >= (2, 11)
        True
    """
    spec = PathFinder.find_spec("torch")  # its metadata take ten times as long to find
    if spec is None or spec.origin is None:
        return 0, 0
    text = Path(spec.origin).with_name("version.py").read_text(encoding="utf-8")
    found = re.search(r"""^__version__ = ['"](\d+)\.(\d+)\.""", text, re.MULTILINE)
    return (int(found[1]), int(found[2])) if found else (0, 0)
