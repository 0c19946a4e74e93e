"""The settings `freeze` and `unfreeze`: patterns over parameters, and from which epoch on these are trained."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Literal

import attrs

from lossreg.errors import ConfigError
from lossreg.pattern_terms import Pattern
from lossreg.patterns import parse_pattern, pattern_texts
from lossreg.values import shown


@attrs.frozen
class FrozenPattern:
    """A pattern of `freeze` or `unfreeze`.

    Attributes:
        pattern: What it matches.
        epoch: The epoch, from 0, from which on it is trained; None in `freeze`.
    """

    pattern: Pattern
    epoch: int | None = None

    @property
    def text(self) -> str:
        """The canonical text."""
        return self.pattern.text if self.epoch is None else f"{self.pattern.text}@{self.epoch}"


_EXAMPLES: Mapping[str, str] = {"freeze": "backbone.*", "unfreeze": "backbone.*@5"}


def freezing_text(value: object, setting: Literal["freeze", "unfreeze"]) -> str | None:
    """The canonical text of one of the two settings; None if it is not set.

    Raises:
        ConfigError: If it is not written so.

    Example:
        >>> freezing_text(["stem.*", "ndim < 2"], "freeze")
        'stem.*, ndim<2'
    """
    return None if value is None else ", ".join(each.text for each in parse_freezing(value, setting))


def parse_freezing(value: object, setting: Literal["freeze", "unfreeze"]) -> list[FrozenPattern]:
    """Reads one of the two settings.

    Args:
        value: A text with commas, or a list of texts.
        setting: `freeze`, or `unfreeze`, whose patterns have an epoch behind them.

    Raises:
        ConfigError: If it is not written so.

    Example:
        >>> [(each.pattern.text, each.epoch) for each in parse_freezing("stem.*@2, *@5", "unfreeze")]
        [('stem.*', 2), ('*', 5)]
    """
    found: dict[str, FrozenPattern] = {}
    for text in pattern_texts(value, setting, _EXAMPLES[setting]):
        pattern, epoch = _with_epoch(text) if setting == "unfreeze" else (text, None)
        try:
            one = FrozenPattern(parse_pattern(pattern), epoch)
        except ConfigError as error:
            error.message = f"{setting}: {error.message}"
            raise
        found[one.text] = one
    return list(found.values())


def _with_epoch(text: str) -> tuple[str, int]:
    found = re.fullmatch(r"(.*\S)\s*@\s*(\d{1,7})", text, re.ASCII | re.DOTALL)
    if found is None or int(found[2]) == 0:
        raise ConfigError(
            f"unfreeze: {shown(text)} has no epoch from 1 on behind an @; write, for example, {_EXAMPLES['unfreeze']!r}"
        )
    return found[1], int(found[2])
