"""Settings and components of past runs as a person reads them."""

from __future__ import annotations

from typing import Any

from lossreg.training.record.files import MAX_DEPTH, MAX_NUMBER
from lossreg.values import one_line


def short_text(text: str) -> str:
    """A spec text without the plugin before its name."""
    name, bracket, rest = text.partition("(")
    return f"{name.rpartition('.')[2]}{bracket}{rest}"


def setting_text(value: Any, depth: int = 0) -> str:
    """A plain value of a setting as a person reads it.

    Example:
        >>> setting_text(None), setting_text(0.1), setting_text({"*.bias": {"lr": 0.1}, "head": True})
        ('none', '0.1', '*.bias: lr: 0.1; head')
    """
    if value is None:
        return "none"
    if isinstance(value, str):
        return one_line(value)
    if depth > MAX_DEPTH:
        return "..."
    if isinstance(value, dict):
        pairs = (
            one_line(key) if what is True else f"{one_line(key)}: {setting_text(what, depth + 1)}"
            for key, what in value.items()
        )
        return "; ".join(pairs) or "none"
    if isinstance(value, list):
        return ", ".join(setting_text(one, depth + 1) for one in value) or "none"
    if type(value) is int and abs(value) > MAX_NUMBER:
        return "a huge number"  # Python writes no number of so many digits
    return str(value)
