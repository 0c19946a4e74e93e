"""What is said of a comparison while it runs."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from typing import Any, Protocol, TextIO

import attrs

from lossreg.comparison.naming import Cell
from lossreg.comparison.results import Attempt
from lossreg.streams import ForgivingStream
from lossreg.training.display.cells import CellTable
from lossreg.values import printable

#: The metrics that a table shows of an epoch, the first that it has.
_SHOWN = tuple(
    f"{split}_{what}"
    for split in ("validation", "test")
    for what in ("accuracy", "label_accuracy", "mean_absolute_error")
)


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

    def close(self) -> None:
        """Called at the end, also of a comparison that is interrupted."""


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

    def close(self) -> None:
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


class Table(Lines):
    """A watcher that shows the runs as a table while they go on, on a terminal; elsewhere lines.

    Args:
        stream: Where it writes; None is stderr as it is now.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        super().__init__(stream)
        self._target = stream
        self._table: CellTable | None = None

    def begun(self, runs: Sequence[CellRun], place: str, how: str) -> None:
        """Says what will be run, and shows the table."""
        super().begun(runs, place, how)
        lengths = {run.cell.spec.epochs for run in runs}
        if self._stream.isatty():
            epochs = lengths.pop() if len(lengths) == 1 else None
            self._table = CellTable([*map(_title, runs)], "metric", epochs=epochs, stream=self._target)

    def started(self, run: CellRun) -> None:
        """Shows that a run has started."""
        if self._table is not None:
            self._table.update(_title(run), status="running", epoch=0)

    def epoch(self, run: CellRun, row: Mapping[str, Any]) -> None:
        """Shows how far a run is."""
        if self._table is not None:
            name = next((name for name in _SHOWN if isinstance(row.get(name), int | float)), None)
            self._table.metric = name or self._table.metric
            self._table.update(_title(run), epoch=row["epoch"] + 1, metric=None if name is None else row[name])

    def ended(self, run: CellRun, attempt: Attempt) -> None:
        """Says how a run ended."""
        if self._table is not None:
            self._table.update(_title(run), status=attempt.status)
        super().ended(run, attempt)
        if self._table is not None and self._ended == self._total:
            self.close()

    def close(self) -> None:
        """Takes the table away."""
        if self._table is not None:
            self._table.close()
            self._table = None

    def _line(self, text: str) -> None:
        if self._table is None:
            super()._line(text)
        else:
            self._table.line(text)


def _title(run: CellRun) -> str:
    return f"{run.cell.label}, seed {run.seed}{', trial' if run.is_trial else ''}"


def _how(attempt: Attempt) -> str:
    if not attempt.is_done:
        return f"{attempt.status}: {attempt.reason or 'no reason is known'}"
    shown = {name: value for name, value in attempt.final.items() if name.startswith(("validation_", "test_"))}
    values = "  ".join(f"{name} {value:.4g}" for name, value in shown.items())
    return f"{values}  {attempt.seconds or 0:.1f} s" + (f" ({attempt.reason})" if attempt.reason else "")
