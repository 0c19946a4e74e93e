"""How often a run writes a checkpoint: the text of the setting, read once."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

import attrs

from lossreg.errors import ConfigError
from lossreg.settings import Check, Kind
from lossreg.values import plain, shown

MAX_COUNT = 1_000_000_000

Unit = Literal["epochs", "steps", "minutes"]

_UNITS: dict[str, Unit] = {"": "epochs", "s": "steps", "m": "minutes"}
_EVERY = re.compile(r"(\d{1,10})\s*(|e|epochs?|s|steps?|m|min|minutes?)")


@attrs.frozen
class Every:
    """After how much training a checkpoint is due.

    Attributes:
        count: Of the unit, at least 1.
        unit: Epochs, steps of the optimizer, or minutes.
    """

    count: int
    unit: Unit

    @classmethod
    def of(cls, text: str) -> Every:
        """What a text in its one form stands for.

        Example:
            >>> Every.of("500s"), Every.of("1")
            (Every(count=500, unit='steps'), Every(count=1, unit='epochs'))
        """
        return cls(int(text.rstrip("sm")), _UNITS[text.lstrip("0123456789")])


def read_every(value: object) -> Any:
    """A value of `checkpoint_every` in its one form: `1`, `500s`, `10m` or None; what is none of them as it is.

    Example:
        >>> [read_every(value) for value in (2, "500 steps", "10min", "none", 0)]
        ['2', '500s', '10m', None, 0]
    """
    value = plain(value)
    if isinstance(value, int) and not isinstance(value, bool) and value > 0:
        return str(value)
    if not isinstance(value, str):
        return value
    written = value.strip().lower()
    if written == "none":
        return None
    found = _EVERY.fullmatch(written)
    return value if found is None else f"{int(found[1])}{found[2][:1].replace('e', '')}"


@attrs.frozen
class EveryText(Check):
    """A number of epochs, steps or minutes, or None."""

    kind: ClassVar[Kind] = "text"

    optional: bool = True
    metavar: str | None = "EVERY"

    def check(self, name: str, value: Any) -> None:
        """Checks form and bounds."""
        if value is None:
            return
        found = _EVERY.fullmatch(value) if isinstance(value, str) else None
        if found is None or not 1 <= int(found[1]) <= MAX_COUNT:
            raise ConfigError(
                f"{name} is a number of epochs (1), of steps, such as 500s, of minutes, such as 10m, or none, "
                f"not {shown(value)}"
            )
