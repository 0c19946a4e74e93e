"""What a terminal shows of a run: bars, the loss and its curve, the rate, the speed, the time that is left."""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lossreg.training.display.sparkline import Curve, sparkline
from lossreg.training.display.terminal import clock

if TYPE_CHECKING:
    from rich.console import RenderableType

_CURVE = 32  # blocks of the curve of the loss


class RunView:
    """The state of a run, and how it looks.

    Args:
        epochs: Of the run.
        steps: Of an epoch.
        samples: Of an epoch.
        now: A clock, in seconds.
        done: Steps that were done before, of a run that goes on.
        named: The metrics that the run names, which are shown, too.
    """

    def __init__(
        self,
        epochs: int,
        steps: int,
        samples: int,
        now: Callable[[], float] = time.perf_counter,
        *,
        done: int = 0,
        named: Collection[str] = (),
    ) -> None:
        self._epochs, self._steps, self._samples = epochs, steps, samples
        self._now = now
        self._named = named
        self._started = self._mark = now()  # the second is when `_step` was reached
        self._step = self._before = done
        self._speed: float | None = None  # samples a second
        self._loss: float | None = None
        self._rate: str = ""
        self._curve = Curve(_CURVE)
        self._metrics: list[str] = []

    def log(self, record: Mapping[str, Any], rate: str) -> None:
        """Takes a row of a step."""
        now = self._now()
        if record["step"] > self._step and now > self._mark:
            self._speed = (record["step"] - self._step) * self._samples / self._steps / (now - self._mark)
        self._step, self._mark = record["step"], now
        self._loss, self._rate = record["train_loss"], rate
        self._curve.add(record["train_loss"])

    def end_epoch(self, record: Mapping[str, Any]) -> None:
        """Takes a row of an epoch."""
        self._step, self._mark = record["step"], self._now()
        self._speed, self._loss = record["samples_per_second"], record["train_loss"]
        if self._steps < 2 or not self._curve.means:  # epochs are all that is seen of the loss
            self._curve.add(record["train_loss"])
        shown = [("accuracy", "label_accuracy", "mean_absolute_error", "loss"), *((name,) for name in self._named)]
        found = (self._first(record, wanted) for wanted in shown)
        self._metrics = [f"{name} {record[name]:.4g}" for name in found if name is not None]

    def _first(self, record: Mapping[str, Any], wanted: Sequence[str]) -> str | None:
        """The first of some measures that a row has, of the split that was evaluated."""
        names = (f"{split}_{what}" for what in wanted for split in ("validation", "test"))
        return next((name for name in names if record.get(name) is not None), None)

    def draw(self, blocks: bool) -> RenderableType:
        """What is to be seen now.

        Args:
            blocks: Whether the terminal can show the curve.
        """
        from rich.console import Group
        from rich.progress_bar import ProgressBar
        from rich.table import Table
        from rich.text import Text

        done, total = self._step, self._epochs * self._steps
        epochs, steps = divmod(done, self._steps)
        if epochs and not steps and self._now() - self._mark < 1:
            epochs, steps = epochs - 1, self._steps  # an epoch has just ended: its bar is full
        elapsed = self._now() - self._started
        own = done - self._before
        left = f", {clock(elapsed / own * (total - done))} left" if own else ""
        speed = f"{self._speed:,.0f} samples/s" if self._speed else ""
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(width=32)
        grid.add_column(no_wrap=True)
        grid.add_row(
            f"epochs {done // self._steps}/{self._epochs}", ProgressBar(total, done), f"{clock(elapsed)}{left}"
        )
        grid.add_row(f"steps {steps}/{self._steps}", ProgressBar(self._steps, steps), speed)
        return Group(grid, Text(self._numbers(blocks), no_wrap=True, overflow="ellipsis"))

    def _numbers(self, blocks: bool) -> str:
        loss = "" if self._loss is None else f"train_loss {self._loss:.4f}"
        curve = sparkline(self._curve.means) if blocks else ""
        return "  ".join(part for part in (loss, curve, self._rate, *self._metrics) if part)
