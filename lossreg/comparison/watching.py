"""What is said of a comparison while it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

import attrs

from lossreg.comparison.naming import Cell
from lossreg.comparison.results import Attempt
from lossreg.streams import ForgivingStream
from lossreg.values import printable


@attrs.frozen
class CellRun:
    """A run of a cell.

    Attributes:
        cell: The cell.
        seed: Its seed.
        is_trial: Whether it is one of those by which a rate is chosen.
    """

    cell: Cell
    seed: int
    is_trial: bool = False

    @property
    def name(self) -> str:
        """The name of its directory."""
        return self.cell.directory(self.seed)


class Watcher(Protocol):
    """Is told how the runs of a comparison go on, in the process that was asked for it."""

    def begun(self, runs: Sequence[CellRun], place: str, how: str) -> None:
        """Called before the first run with all that are to be done, their directory, and how they share the machine."""

    def said(self, sentence: str) -> None:
        """Called with what a person should know."""

    def started(self, run: CellRun) -> None:
        """Called when a run starts."""

    def epoch(self, run: CellRun, row: Mapping[str, Any]) -> None:
        """Called after each epoch of a run, with its metrics."""

    def ended(self, run: CellRun, attempt: Attempt) -> None:
        """Called when a run has ended, however."""


class Silence:
    """A watcher that shows nothing."""

    def begun(self, runs: Sequence[CellRun], place: str, how: str) -> None:
        """Shows nothing."""

    def said(self, sentence: str) -> None:
        """Shows nothing."""

    def started(self, run: CellRun) -> None:
        """Shows nothing."""

    def epoch(self, run: CellRun, row: Mapping[str, Any]) -> None:
        """Shows nothing."""

    def ended(self, run: CellRun, attempt: Attempt) -> None:
        """Shows nothing."""


class Lines(Silence):
    """A watcher that shows a line for each run that ends.

    Args:
        stream: Where it writes; None is stderr as it is now.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = ForgivingStream(stream or sys.stderr)
        self._total = self._ended = 0

    def begun(self, runs: Sequence[CellRun], place: str, how: str) -> None:
        """Says what will be run."""
        self._total, self._ended = len(runs), 0
        self._line(f"runs: {len(runs)}, {how}; files in {place}")

    def said(self, sentence: str) -> None:
        """Says it."""
        self._line(sentence)

    def ended(self, run: CellRun, attempt: Attempt) -> None:
        """Says how a run ended."""
        self._ended += 1
        trial = ", to choose a rate" if run.is_trial else ""
        self._line(f"[{self._ended}/{self._total}] {run.cell.label}, seed {run.seed}{trial}: {_how(attempt)}")

    def _line(self, text: str) -> None:
        print(printable(text), file=self._stream, flush=True)


def _how(attempt: Attempt) -> str:
    if not attempt.is_done:
        return f"{attempt.status}: {attempt.reason or 'no reason is known'}"
    shown = {name: value for name, value in attempt.final.items() if name.startswith(("validation_", "test_"))}
    values = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    return f"{values}  {attempt.seconds or 0:.1f} s" + (f" ({attempt.reason})" if attempt.reason else "")
