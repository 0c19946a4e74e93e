"""What is seen of a comparison while its cells run: a table on a terminal, a line for each change elsewhere."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Sequence
from typing import TYPE_CHECKING, Self, TextIO

import attrs

from lossreg.streams import ForgivingStream
from lossreg.training.display.terminal import clock, open_area
from lossreg.values import one_line

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import Console, RenderableType

    from lossreg.training.display.area import LiveArea

WAITING = "waiting"
_LIVE = ("running",)  # statuses of cells that are shown before others
_MARGIN = 6  # lines of a terminal that are left for the head of the table, its foot, and what was there before
_STYLES = {"running": "bold", "finished": "green", "stopped": "green", "failed": "red", "interrupted": "yellow"}


@attrs.define
class Cell:
    """A cell as it is now.

    Attributes:
        status: `waiting`, `running`, or a status of run.json.
        epoch: Epochs that are done.
        metric: The metric of the last epoch.
        began: When it began to run, on a clock of seconds; None before.
        seconds: How long it ran; None before its end, or if that is not known.
    """

    status: str = WAITING
    epoch: int | None = None
    metric: float | None = None
    began: float | None = None
    seconds: float | None = None


class CellTable:
    """A display of cells, to be told what has changed; its methods are called from one thread.

    On a terminal it is a table that takes itself away at the end; where not all cells fit, those are shown that run,
    and those that were over last. Elsewhere a cell that begins or is over is a line.

    Args:
        labels: Of all cells, each another; in their order.
        metric: The name of the metric that is shown; the attribute `metric` can be set later.
        epochs: Of each cell; None if they differ.
        quiet: Whether nothing is shown.
        stream: Where it writes; None is stderr as it is now.
        console: Where to draw, for tests; else the stream, if it is a terminal.

    Example:
        >>> import io
        >>> stream = io.StringIO()
        >>> with CellTable(["sgd", "adam"], "test_accuracy", epochs=2, stream=stream) as table:
        ...     table.update("sgd", status="running")
        ...     table.update("sgd", epoch=1, metric=0.5)
        ...     table.update("sgd", status="finished", epoch=2, metric=0.75)
        >>> print(stream.getvalue().replace("0:00", "TIME"), end="")
        [0/2] running   sgd
        [1/2] finished  sgd  epoch 2/2  test_accuracy 0.75  TIME
    """

    def __init__(
        self,
        labels: Sequence[str],
        metric: str,
        *,
        epochs: int | None = None,
        quiet: bool = False,
        stream: TextIO | None = None,
        console: Console | None = None,
    ) -> None:
        self._cells = {label: Cell() for label in labels}
        self.metric, self._epochs, self._quiet = metric, epochs, quiet
        self._over: list[str] = []  # in the order in which they ended
        self._stream = ForgivingStream(stream or sys.stderr)
        self._area: LiveArea | None = None
        if console is not None:
            from lossreg.training.display.area import LiveArea  # rich, which the caller has

            self._area = LiveArea(self._stream, self._draw, console)
        elif not quiet:
            self._area = open_area(self._stream, self._draw)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.close()

    def update(
        self, label: str, *, status: str | None = None, epoch: int | None = None, metric: float | None = None
    ) -> None:
        """Takes what has changed of a cell; what is None stays as it was.

        Args:
            label: Of the cell; one that is not known yet is added.
            status: `running` when it begins, and how it ended.
            epoch: Epochs that are done.
            metric: The metric after them.
        """
        cell = self._cells.setdefault(label, Cell())
        cell.epoch = cell.epoch if epoch is None else epoch
        cell.metric = cell.metric if metric is None else metric
        if status is not None and status != cell.status:
            self._change(label, cell, status)
        elif self._area is not None:
            self._area.refresh()

    def line(self, text: str) -> None:
        """Writes a line, above the table where there is one."""
        if self._quiet:
            return
        if self._area is not None:
            self._area.line(one_line(text))
        else:
            print(one_line(text), file=self._stream, flush=True)

    def close(self) -> None:
        """Takes the table away."""
        if self._area is not None:
            self._area.close()
            self._area = None

    def _change(self, label: str, cell: Cell, status: str) -> None:
        now = time.perf_counter()
        was, cell.status = cell.status, status
        if label in self._over:
            self._over.remove(label)
        if status in _LIVE:
            cell.began, cell.seconds = now, None
        elif status != WAITING:
            cell.seconds = None if cell.began is None or was not in _LIVE else now - cell.began
            self._over.append(label)
        if self._area is None:
            self.line("  ".join([f"[{len(self._over)}/{len(self._cells)}] {status:<8}", label, *self._told(cell)]))
        else:
            self._area.refresh(now=True)

    def _told(self, cell: Cell) -> list[str]:
        """What a line says of a cell behind its label."""
        told = [] if cell.epoch is None else [f"epoch {self._epochs_of(cell)}"]
        if cell.metric is not None:
            told.append(f"{self.metric} {cell.metric:.4g}")
        return told if cell.seconds is None else [*told, clock(cell.seconds)]

    def _epochs_of(self, cell: Cell) -> str:
        if cell.epoch is None:
            return ""
        return f"{cell.epoch}/{self._epochs}" if self._epochs else str(cell.epoch)

    def _draw(self, blocks: bool) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table(box=None, padding=(0, 2, 0, 0), header_style="dim")
        # Where room is short, names give way: only a column that may wrap is made narrower by itself, and these texts
        # do not wrap.
        table.add_column("cell", overflow="ellipsis")
        for title in ("status", "epoch"):
            table.add_column(title, no_wrap=True, justify="left" if title == "status" else "right")
        table.add_column(Text(self.metric, no_wrap=True, overflow="ellipsis"), justify="right")
        table.add_column("time", no_wrap=True, justify="right")
        now = time.perf_counter()
        for label in self._shown():
            cell = self._cells[label]
            seconds = now - cell.began if cell.status in _LIVE and cell.began is not None else cell.seconds
            table.add_row(
                Text(one_line(label), no_wrap=True, overflow="ellipsis"),
                Text(one_line(cell.status), style=_STYLES.get(cell.status, "dim")),
                self._epochs_of(cell),
                "" if cell.metric is None else f"{cell.metric:.4g}",
                "" if seconds is None else clock(seconds),
            )
        return Group(table, Text(self._foot(), style="dim"))

    def _shown(self) -> list[str]:
        """The cells that there is room for, in their order: those that run before the latest that are over."""
        running = [label for label, cell in self._cells.items() if cell.status in _LIVE]
        waiting = [label for label, cell in self._cells.items() if cell.status == WAITING]
        chosen = {*[*running, *reversed(self._over), *waiting][: max(self._height() - _MARGIN, 1)]}
        return [label for label in self._cells if label in chosen]

    def _height(self) -> int:
        return 24 if self._area is None else self._area.height

    def _foot(self) -> str:
        counts = Counter(cell.status for cell in self._cells.values())
        return f"{len(self._cells)} cells: " + ", ".join(f"{count} {status}" for status, count in counts.items())
