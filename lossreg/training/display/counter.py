"""A bar for work that is counted, such as reading samples."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Self

from lossreg.streams import ForgivingStream
from lossreg.training.display.terminal import clock, open_area

if TYPE_CHECKING:
    from types import TracebackType

    from rich.console import RenderableType

    from lossreg.training.display.area import LiveArea

_PATIENCE = 2.0  # seconds of work that are not worth showing


class Counter:
    """A bar on a terminal, once the work has taken two seconds; nothing elsewhere. It takes itself away.

    Args:
        total: How much there is to do.
        what: What is done, and what is counted: `reading samples`.
        quiet: Whether nothing is shown.
    """

    def __init__(self, total: int, what: str, *, quiet: bool = False) -> None:
        self._total, self._what, self._done = total, what, 0
        self._started = time.perf_counter()
        self._stream = ForgivingStream(sys.stderr)
        self._is_wanted = self._stream.isatty() and not quiet
        self._area: LiveArea | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._area is not None:
            self._area.close()

    def add(self, count: int) -> None:
        """Counts what was done."""
        self._done += count
        if not self._is_wanted:
            return
        if self._area is None and time.perf_counter() - self._started > _PATIENCE:
            self._area = open_area(self._stream, self._draw)
            self._is_wanted = self._area is not None
        if self._area is not None:
            self._area.refresh()

    def _draw(self, blocks: bool) -> RenderableType:
        from rich.progress_bar import ProgressBar
        from rich.table import Table

        elapsed = time.perf_counter() - self._started
        left = clock(elapsed / max(self._done, 1) * (self._total - self._done))
        grid = Table.grid(padding=(0, 2, 0, 0))
        grid.add_column(no_wrap=True)
        grid.add_column(width=32)
        grid.add_column(no_wrap=True)
        grid.add_row(self._what, ProgressBar(self._total, self._done), f"{self._done:,}/{self._total:,}, {left} left")
        return grid
