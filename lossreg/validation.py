"""How a validation split is cut off, and which metric ends a run: the texts of the settings, read once."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar

import attrs

from lossreg.errors import ConfigError
from lossreg.settings import Check, Kind, any_case
from lossreg.values import plain, shown

MAX_FOLDS = 100

_FOLD = re.compile(r"fold\(\s*(\d+)\s*/\s*(\d+)\s*\)")
_TARGET = re.compile(r"\s*([A-Za-z_]\w*)\s*([<>]=?|==?|≤|≥)\s*(\S+)\s*")


@attrs.frozen
class Cut:
    """The parts that a split is cut into, and the one that is held out.

    Attributes:
        shares: Of each part; their sum is 1.
        held: The index of the part that is for validation; the others are trained on.
        text: How a person writes it.
    """

    shares: tuple[float, ...]
    held: int
    text: str

    @classmethod
    def of(cls, value: float | str) -> Cut:
        """The cut that a value of the setting `validate` stands for.

        Example:
            >>> Cut.of("fold(2/4)")
            Cut(shares=(0.25, 0.25, 0.25, 0.25), held=1, text='fold(2/4)')
        """
        fold = _FOLD.fullmatch(value) if isinstance(value, str) else None
        if fold is None:
            share = float(value)
            return cls((share, 1 - share), 0, str(value))
        number, folds = map(int, fold.groups())
        return cls((1 / folds,) * folds, number - 1, str(value))


def read_validate(value: object) -> Any:
    """A value of `validate` in its one form: a share as a number, a fold as text; what is neither as it is."""
    if not isinstance(value, str):
        return plain(value)
    written = value.strip().lower()
    if written == "none":
        return None
    fold = _FOLD.fullmatch(written)
    if fold is not None:
        return "fold({}/{})".format(*map(int, fold.groups()))
    try:
        return float(written)
    except ValueError:
        return value


@attrs.frozen
class Validate(Check):
    """A share, a fold, or None."""

    kind: ClassVar[Kind] = "text"

    optional: bool = True
    metavar: str | None = "SHARE"

    def check(self, name: str, value: Any) -> None:
        """Checks type and bounds."""
        if value is None:
            return
        fold = _FOLD.fullmatch(value) if isinstance(value, str) else None
        if fold is not None:
            number, folds = map(int, fold.groups())
            if not (2 <= folds <= MAX_FOLDS and 1 <= number <= folds):
                raise ConfigError(
                    f"{name} is {value}, but in fold(K/N) N is 2 to {MAX_FOLDS} and K is 1 to N: fold(1/5) to fold(5/5)"
                )
        elif not isinstance(value, float) or not 0 < value < 1:
            raise ConfigError(
                f"{name} is a share of the training split between 0 and 1, such as 0.1, or a fold, such as fold(2/5), "
                f"not {shown(value)}"
            )

    def schema(self) -> dict[str, Any]:
        """A share as a number or in text, or a fold."""
        text = rf"^\s*(?:{any_case('fold')}\(\s*\d+\s*/\s*\d+\s*\)|\d*\.?\d+(?:[eE][-+]?\d+)?)\s*$"
        return {
            "anyOf": [
                {"type": "number", "exclusiveMinimum": 0, "exclusiveMaximum": 1},
                {"type": "string", "pattern": text},
            ]
        }


@attrs.frozen
class Target:
    """What a metric has to reach.

    Attributes:
        metric: Its name.
        at_least: Whether it has to be as great, or else as small.
        value: As what.
    """

    metric: str
    at_least: bool
    value: float

    @classmethod
    def of(cls, text: str) -> Target:
        """The target that a text in its one form stands for.

        Example:
            >>> Target.of("validation_accuracy>=0.99")
            Target(metric='validation_accuracy', at_least=True, value=0.99)
        """
        metric, sign, value = _TARGET.fullmatch(text).groups()  # type: ignore[union-attr]  # the setting was checked
        return cls(metric, sign.startswith(">"), float(value))

    def is_reached(self, value: float | None) -> bool:
        """Whether a value of the metric is enough; None is a value that is not finite."""
        if value is None:
            return False
        return value >= self.value if self.at_least else value <= self.value

    @property
    def text(self) -> str:
        """The target in its one form."""
        return f"{self.metric}{'>=' if self.at_least else '<='}{self.value:g}"


def read_target(value: object) -> Any:
    """A value of `target` without blanks; what is not a target as it is."""
    if isinstance(value, str) and value.strip().lower() == "none":
        return None
    found = _TARGET.fullmatch(value) if isinstance(value, str) else None
    return value if found is None else "".join(found.groups())


@attrs.frozen
class TargetText(Check):
    """A metric with a bound, or None."""

    kind: ClassVar[Kind] = "text"

    optional: bool = True
    metavar: str | None = "TARGET"

    def check(self, name: str, value: Any) -> None:
        """Checks the form."""
        if value is None:
            return
        found = _TARGET.fullmatch(value) if isinstance(value, str) else None
        if found is None or found[2] not in (">=", "<=") or not _is_finite_number(found[3]):
            raise ConfigError(
                f"{name} is METRIC>=VALUE or METRIC<=VALUE, such as 'validation_accuracy>=0.99', not {shown(value)}"
            )

    def schema(self) -> dict[str, Any]:
        """A name, a sign and a number."""
        return {"type": "string", "pattern": r"^\s*[A-Za-z_]\w*\s*(?:>=|<=)\s*\S+\s*$"}


def _is_finite_number(text: str) -> bool:
    try:
        return math.isfinite(float(text))
    except ValueError:
        return False


@attrs.frozen
class MetricName(Check):
    """The name of a metric, or None; which metrics there are is known when the data set is."""

    kind: ClassVar[Kind] = "text"

    optional: bool = True
    metavar: str | None = "METRIC"

    def check(self, name: str, value: Any) -> None:
        """Checks the type."""
        if value is not None and not (isinstance(value, str) and value.strip()):
            raise ConfigError(f"{name} is the name of a metric, such as validation_loss, not {shown(value)}")

    def schema(self) -> dict[str, Any]:
        """A text that is not empty."""
        return {"type": "string", "pattern": r"\S"}
