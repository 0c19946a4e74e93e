"""How often a run writes a checkpoint: the text of the setting, read once."""

from __future__ import annotations

import re
from typing import Any, ClassVar, Literal

import attrs

from lossreg.errors import ConfigError
from lossreg.settings import Check, Kind, any_case
from lossreg.values import plain, shown

MAX_COUNT = 1_000_000_000

Unit = Literal["epochs", "steps", "minutes"]

_UNITS: dict[str, Unit] = {"": "epochs", "e": "epochs", "s": "steps", "m": "minutes"}  # first letter -> unit
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
            >>> Every.of("500 steps"), Every.of("1")
            (Every(count=500, unit='steps'), Every(count=1, unit='epochs'))
        """
        count, _, unit = text.partition(" ")
        return cls(int(count), _UNITS[unit[:1]])

    def __str__(self) -> str:
        """The one form: the unit is written out, since `s` is for seconds in other settings."""
        if self.unit == "epochs":
            return str(self.count)
        return f"{self.count} {self.unit.removesuffix('s') if self.count == 1 else self.unit}"


def read_every(value: object) -> Any:
    """A value of `checkpoint_every` in its one form, `1`, `500 steps`, `10 minutes` or None; any other as it is.

    Example:
        >>> [read_every(value) for value in (2, "500s", "10min", "none", 0)]
        ['2', '500 steps', '10 minutes', None, 0]
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
    return value if found is None else str(Every(int(found[1]), _UNITS[found[2][:1]]))


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
                f"{name} is a number of epochs (1), of steps ('500 steps', or 500s: s is for steps, not seconds), of "
                f"minutes ('10 minutes', or 10m), or none, from 1 to {MAX_COUNT:,}, not {shown(value)}"
            )

    def schema(self) -> dict[str, Any]:
        """A number of epochs, or a number with a unit."""
        words = ("e", "epoch", "epochs", "s", "step", "steps", "m", "min", "minute", "minutes")
        units = "|".join(map(any_case, words))
        return {
            "anyOf": [
                {"type": "integer", "minimum": 1, "maximum": MAX_COUNT},
                {"type": "string", "pattern": rf"^\s*\d{{1,10}}\s*(?:{units})?\s*$"},
            ]
        }
