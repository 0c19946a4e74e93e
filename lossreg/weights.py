"""The setting `weights`: which weights of a run are evaluated and saved. A text, checked before anything else."""

from __future__ import annotations

import math
import re
from typing import Any, ClassVar, Literal

import attrs

from lossreg.errors import ConfigError
from lossreg.settings import Check, Kind
from lossreg.values import shown

Averaging = Literal["auto", "raw", "optimizer", "ema", "swa"]

DECAY = 0.999
START = 0.75

_FORMS = "auto, raw, optimizer, ema(DECAY) such as ema(0.999), or swa(start=START) such as swa(start=0.75)"
_TEXT = re.compile(r"\s*(?P<kind>[a-z]+)\s*(?:\(\s*(?:(?P<name>[a-z]+)\s*=)?\s*(?P<number>[^\s=()]*)\s*\))?\s*")
_PARAMETERS = {"ema": "decay", "swa": "start"}


@attrs.frozen
class WeightsChoice:
    """Which weights a run is about.

    Attributes:
        kind: `raw` are those of training, `optimizer` those that an optimizer with modes has for evaluation, `ema` and
            `swa` averages; `auto` is one of the first two.
        decay: Of `ema`: the share of the average that a step leaves, above 0 and below 1.
        start: Of `swa`: the share of the run's epochs before it, at least 0 and below 1; or a whole number of epochs.
    """

    kind: Averaging
    decay: float = DECAY
    start: float | int = START

    @classmethod
    def parse(cls, text: object) -> WeightsChoice:
        """Reads a text.

        Raises:
            ConfigError: If it is none of the forms, or its number is out of range.

        Example:
            >>> WeightsChoice.parse("ema").text, WeightsChoice.parse("swa(15)").text
            ('ema(0.999)', 'swa(start=15)')
        """
        match = _TEXT.fullmatch(text) if isinstance(text, str) else None
        kind: Any = match["kind"] if match else None
        parameter = _PARAMETERS.get(kind)
        written = match["number"] if match else None
        if match is None or kind not in ("auto", "raw", "optimizer", *_PARAMETERS) or (parameter is None and written):
            raise ConfigError(f"weights is {_FORMS}; it is not {shown(text)}")
        if match["name"] not in (None, parameter):
            raise ConfigError(f"weights: {kind} has no parameter {match['name']!r}; write {kind}({parameter}=...)")
        if not written:
            return cls(kind)
        if kind == "ema":
            return cls(kind, decay=_decay(written))
        return cls(kind, start=_start(written))

    @property
    def text(self) -> str:
        """The canonical text."""
        if self.kind == "ema":
            return f"ema({self.decay!r})"
        return f"swa(start={self.start!r})" if self.kind == "swa" else self.kind

    def first_epoch(self, epochs: int) -> int:
        """The first epoch, from 0, at whose end the weights go into the average of `swa`.

        Args:
            epochs: Of the run.

        Raises:
            ConfigError: If the run ends before it.

        Example:
            >>> WeightsChoice.parse("swa(start=0.75)").first_epoch(20), WeightsChoice.parse("swa(15)").first_epoch(20)
            (15, 15)
        """
        if isinstance(self.start, int):
            if self.start >= epochs:
                last = "the only epoch of the run is 0" if epochs == 1 else f"the last epoch of the run is {epochs - 1}"
                raise ConfigError(f"weights: {self.text} starts in epoch {self.start}, but {last}")
            return self.start
        # 0.29 of 100 is 29, where floats say 28.999999999999996; and at least the last epoch is averaged.
        return min(math.floor(round(self.start * epochs, 6)), epochs - 1)


def _number(written: str) -> float:
    try:
        return float(written)
    except ValueError:
        return math.nan


def _decay(written: str) -> float:
    decay = _number(written)
    if not 0 < decay < 1:
        raise ConfigError(f"weights: the decay of ema is a number above 0 and below 1, not {shown(written)}")
    return decay


def _start(written: str) -> float | int:
    if written.isascii() and written.isdigit() and len(written) < 10:
        return int(written)
    share = _number(written)
    if not 0 <= share < 1:
        raise ConfigError(
            f"weights: the start of swa is a share of the run, at least 0 and below 1, or a whole number of epochs; "
            f"it is not {shown(written)}"
        )
    return share


def canonical_weights(value: object) -> str:
    """The canonical text of the setting.

    Raises:
        ConfigError: As `WeightsChoice.parse`.
    """
    return WeightsChoice.parse(value).text


@attrs.frozen
class WeightsText(Check):
    """What `WeightsChoice.parse` reads; the converter of the setting has checked it."""

    kind: ClassVar[Kind] = "text"

    metavar: str | None = "WEIGHTS"

    def check(self, name: str, value: Any) -> None:
        """Its converter has checked it."""

    def schema(self) -> dict[str, Any]:
        """The words, two of which may have a number behind them."""
        averages = r"(?:ema|swa)\s*(?:\(\s*(?:[a-z]+\s*=\s*)?[^\s=()]*\s*\))?"
        return {
            "anyOf": [
                {"enum": ["auto", "raw", "optimizer", f"ema({DECAY})", f"swa(start={START})"]},
                {"type": "string", "pattern": rf"^\s*(?:(?:auto|raw|optimizer)\s*(?:\(\s*\))?|{averages})\s*$"},
            ]
        }
