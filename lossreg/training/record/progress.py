"""What a person sees of a run, on stderr."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, TextIO

from lossreg.streams import ForgivingStream
from lossreg.training.display.run_view import RunView
from lossreg.training.display.terminal import open_area
from lossreg.training.results import notes_of
from lossreg.values import printable

if TYPE_CHECKING:
    from lossreg.training.display.area import LiveArea
    from lossreg.training.results import RunResult
    from lossreg.training.state import Run


class Progress:
    """A display on a terminal, lines elsewhere; a line for each epoch in both.

    It ends no run: where the stream cannot be written to, nothing more is shown.

    Args:
        stream: Where it writes; None is stderr as it is when the run starts.
    """

    def __init__(self, stream: TextIO | None = None) -> None:
        self._stream = ForgivingStream(stream or sys.stderr)
        self._area: LiveArea | None = None
        self._view: RunView | None = None

    def lossreg_run_started(self, run: Run) -> None:
        """Says what will be trained."""
        parts = run.parts
        split, plan = parts.samples.splits["train"], parts.samples.plan
        self._line(
            f"training {parts.labels['model']} on {parts.labels['data']} ({len(split)} samples) with "
            f"{parts.labels['loss']}, {parts.labels['optimizer']} on {run.device}; epochs: {run.spec.epochs}, "
            f"steps in each: {plan.steps}; files in {run.directory}"
        )
        precision, layout, processes = parts.objective.precision, parts.fit.layout, parts.processes
        together = f"; processes: {processes.world_size}" if processes.world_size > 1 else ""
        self._line(
            f"precision {precision.name} ({precision.reason}); {split.loader} samples ({split.reason}); "
            f"{layout.name} ({layout.reason}){together}"
        )
        for note in notes_of(parts.samples.data.source):
            self._line(note)
        if run.step:
            self._line(f"going on at epoch {run.epoch}, after step {run.step}")
        self._view = RunView(run.spec.epochs, plan.steps, len(split), done=run.step, named=[*parts.measures])
        self._area = open_area(self._stream, self._view.draw)

    def lossreg_logged(self, run: Run, record: Mapping[str, Any]) -> None:
        """Shows a step."""
        rate = "lr of its own" if record["lr"] is None else f"lr {record['lr']:g}"
        if self._area is None or self._view is None:
            self._line(f"epoch {record['epoch']}  step {record['step']}  {rate}  train_loss {record['train_loss']:.4f}")
        else:
            self._view.log(record, rate)
            self._area.refresh()

    def lossreg_epoch_finished(self, run: Run, record: Mapping[str, Any]) -> None:
        """Shows an epoch."""
        plain = ("weights",) if run.parts.weights.name == "raw" else ()  # where there are no others
        self._line(_row(record, *plain))
        if self._area is not None and self._view is not None:
            self._view.end_epoch(record)
            self._area.refresh()

    def lossreg_run_finished(self, run: Run, result: RunResult) -> None:
        """Takes the display away, and says why a run ended early."""
        self._close()
        if result.reason:
            self._line(f"stopped: {result.reason}")
        if result.best_epoch is not None:
            self._line(f"kept: the weights of epoch {result.best_epoch}")
        if result.tested is not None:
            self._line(f"test split, read once: {_row(result.tested)}")

    def lossreg_run_failed(self, run: Run, error: BaseException) -> None:
        """Takes the display away."""
        self._close()

    def _close(self) -> None:
        if self._area is not None:
            self._area.close()
            self._area = None

    def _line(self, text: str) -> None:
        text = printable(text)
        if self._area is None:
            print(text, file=self._stream, flush=True)
        else:
            self._area.line(text)


def _row(record: Mapping[str, Any], *hidden: str) -> str:
    hidden = ("kind", "epoch", "step", "seconds", *hidden)
    values = "  ".join(f"{name} {_short(value)}" for name, value in record.items() if name not in hidden)
    return f"epoch {record['epoch']}  step {record['step']}  {values}"


def _short(value: float | str | None) -> str:
    if value is None:
        return "-"
    if isinstance(value, str):
        return value
    return f"{value:.0f}" if value >= 1000 else f"{value:.4g}"
