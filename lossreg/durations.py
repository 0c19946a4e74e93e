"""How long something may take, as a person writes it: `90s`, `30m`, `1h30m`."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import attrs

from lossreg.errors import ConfigError
from lossreg.settings import Check, Kind, any_case
from lossreg.values import plain, shown

_NUMBER = r"\d+(?:\.\d+)?"
_DURATION = re.compile("".join(rf"(?:({_NUMBER}){unit})?" for unit in "hms"), re.ASCII)
_PLAIN = re.compile(_NUMBER, re.ASCII)
_UNITS = (3600, 60, 1)  # seconds
_LEAST, _GREATEST = 0.001, 1e9  # seconds; the latter are 31 years


def seconds_of(text: str) -> float:
    """The seconds that a duration in its one form stands for.

    Example:
        >>> seconds_of("1h30m"), seconds_of("0.5s")
        (5400.0, 0.5)
    """
    found = _DURATION.fullmatch(text)
    parts = found.groups() if found else ()
    return float(sum(float(part) * unit for part, unit in zip(parts, _UNITS, strict=True) if part is not None))


def duration_text(seconds: float) -> str:
    """The one form of a number of seconds, to the millisecond.

    Example:
        >>> duration_text(90), duration_text(7200), duration_text(0.25)
        ('1m30s', '2h', '0.25s')
    """
    whole, rest = divmod(round(seconds * 1000), 1000)
    if rest:
        return f"{whole}.{rest:03d}".rstrip("0") + "s"
    counts = (whole // 3600, whole // 60 % 60, whole % 60)
    return "".join(f"{count}{unit}" for count, unit in zip(counts, "hms", strict=True) if count) or "0s"


def read_duration(value: object) -> Any:
    """A value of a setting that is a duration, in its one form; None for the word `none`; what is neither as it is."""
    value = plain(value)
    if isinstance(value, str):
        written = "".join(value.lower().split())
        if written == "none":
            return None
        if _PLAIN.fullmatch(written):
            seconds = float(written)
        elif written and _DURATION.fullmatch(written):
            seconds = seconds_of(written)
        else:
            return value
    elif isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value):
        seconds = value
    else:
        return value
    return duration_text(seconds) if _LEAST <= seconds <= _GREATEST else value


@attrs.frozen
class Duration(Check):
    """A duration, or None."""

    kind: ClassVar[Kind] = "text"

    optional: bool = True
    metavar: str | None = "TIME"

    def check(self, name: str, value: Any) -> None:
        """Checks the form."""
        if value is None:
            return
        is_written = isinstance(value, str) and bool(value) and _DURATION.fullmatch(value) is not None
        if not is_written or not _LEAST <= seconds_of(value) <= _GREATEST:
            raise ConfigError(
                f"{name} is a time such as '90s', '30m' or '1h30m', or a number of seconds without an exponent, from "
                f"{_LEAST} to {_GREATEST:.0f} seconds, not {shown(value)}"
            )

    def schema(self) -> dict[str, Any]:
        """A number of seconds, or numbers with their units."""
        parts = "".join(rf"(?:{_NUMBER}\s*{any_case(unit)}\s*)?" for unit in "hms")
        return {
            "anyOf": [
                {"type": "number", "minimum": _LEAST, "maximum": _GREATEST},
                {"type": "string", "pattern": rf"^\s*(?:{_NUMBER}\s*|(?=\d){parts})$"},
            ]
        }
