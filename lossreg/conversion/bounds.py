"""How much of a file is read: what names, aliases or references repeat may be billions of values in a few lines."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

from lossreg.errors import ConfigError

MOST_VALUES = 100_000
MOST_LEVELS = 50


def check_size(content: object, where: str) -> None:
    """Checks how many values a loop, or a message, would go through.

    Args:
        content: Tables and lists.
        where: The file, for messages.

    Raises:
        ConfigError: If they are too many, or nested too deep.
    """
    left, level = MOST_VALUES, [content]
    for _ in range(MOST_LEVELS):
        level = list(itertools.islice((inner for value in level for inner in _inner(value)), left + 1))
        left -= len(level)
        if not level:
            return
        if left < 0:
            raise ConfigError(
                f"{where} cannot be read: with what is repeated in it, it has more than {MOST_VALUES:,} values"
            )
    raise ConfigError(f"{where} cannot be read: it is nested more than {MOST_LEVELS} levels deep")


def _inner(value: object) -> Iterable[Any]:
    if isinstance(value, dict):
        return value.values()
    return value if isinstance(value, list | tuple) else ()
