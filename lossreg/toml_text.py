"""TOML of unknown origin, read in a time that its length bounds."""

from __future__ import annotations

import re
from typing import Any

MOST = 1_000_000  # characters; no person writes more, and the reader takes a second for each million

#: A name of this many parts, for which Python's reader takes a time that grows with the square of them.
_LONG_NAME = re.compile(r"""(?<![\w"'-])(?:(?:[\w-]+|"[^"\n]*"|'[^'\n]*')[ \t]*\.[ \t]*){32}""", re.ASCII)


def read_toml(text: str) -> dict[str, Any]:
    """The table that a TOML text holds.

    Raises:
        ValueError: If it is not TOML, is nested too deep, or too long.

    Example:
        >>> read_toml("epochs = 5")
        {'epochs': 5}
    """
    import tomllib  # most starts meet no such file

    if len(text) > MOST:
        raise ValueError(f"it has more than {MOST:,} characters")
    if _LONG_NAME.search(text):
        raise ValueError("it has a name of more than 32 parts")
    try:
        return tomllib.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
