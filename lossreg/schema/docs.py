"""What a docstring says of each parameter."""

from __future__ import annotations

import inspect
import re

_ROW = re.compile(r"(?P<indent> *)(?P<name>\*{0,2}[A-Za-z_]\w*) *(?:\([^)]*\))? *: *(?P<text>.*)")


def parameter_docs(factory: object) -> dict[str, str]:
    """Parameter -> what the docstring of a factory, or of its `__init__`, says of it, in one line.

    Example:
        >>> def scaled(input, factor=2.0):
        ...     '''Scales.
        ...
        ...     Args:
        ...         factor (float): What it is
        ...             multiplied by.
        ...     '''
        >>> parameter_docs(scaled)
        {'factor': 'What it is multiplied by.'}
    """
    found: dict[str, str] = {}
    for documented in (getattr(factory, "__init__", None), factory):
        found |= _rows(inspect.getdoc(documented) or "")
    return found


def _rows(doc: str) -> dict[str, str]:
    """The rows of the section on arguments: a name, a type perhaps, and text that may go on in deeper lines."""
    found: dict[str, str] = {}
    lines = iter(doc.splitlines())
    for line in lines:
        if line.strip().rstrip(":").lower() in ("args", "arguments", "parameters"):
            break
    name, depth = "", 0
    for line in lines:
        row = _ROW.match(line)
        indent = len(line) - len(line.lstrip())
        if line.strip() and not indent:
            break
        if row and (not name or indent <= depth):
            name, depth = row["name"].lstrip("*"), indent
            found[name] = row["text"].strip()
        elif name and line.strip() and indent > depth:
            found[name] = f"{found[name]} {line.strip()}".strip()
    return found
