"""The lower part of a terminal that is drawn anew while lines scroll by above it. This module imports rich."""

from __future__ import annotations

import contextlib
import io
import sys
import time
from collections.abc import Callable
from typing import TextIO, cast

from rich.console import Console, RenderableType
from rich.live import Live
from rich.text import Text

from lossreg.streams import ForgivingStream

_INTERVAL, _LONGEST = 0.2, 2.0  # seconds between two drawings, at least and at most
_SHARE = 0.01  # of the time may be spent on drawing


class LiveArea:
    """An area that is drawn when it is asked to, at most five times a second, and for about 1% of the time at most.

    No thread draws it: that would take the interpreter from the training loop at any time, and be in the middle of
    something when a data loader forks. It is a courtesy: an error of drawing ends the area, and nothing else.

    Args:
        stream: A terminal.
        draw: Makes what is shown, given whether the terminal has more than ASCII.
        console: Where to draw, for tests; else one of the stream.

    Attributes:
        is_open: Whether it is still drawn.
    """

    def __init__(
        self, stream: ForgivingStream, draw: Callable[[bool], RenderableType], console: Console | None = None
    ) -> None:
        self._stream = stream
        self._console = console or Console(
            file=cast("TextIO", stream), force_terminal=True, highlight=False, markup=False, emoji=False
        )
        self._next = 0.0
        self._cost = 0.0  # seconds that the last drawing took
        self.is_open = True
        self._live: Live | None = None
        self._guarded(lambda: self._open(draw))

    @property
    def height(self) -> int:
        """Lines of the terminal."""
        return self._console.height

    def refresh(self, *, now: bool = False) -> None:
        """Draws what there is to see, unless it was drawn just before.

        Args:
            now: Whether to draw in any case.
        """
        started = time.perf_counter()
        if self._live is None or not self.is_open or (started < self._next and not now):
            return
        if self._stream.error is not None:  # the terminal went away
            self.close()
            return
        self._guarded(self._live.refresh)
        ended = time.perf_counter()
        cost, self._cost = min(self._cost or _INTERVAL, ended - started), ended - started  # the first one imports
        self._next = ended + min(max(_INTERVAL, cost / _SHARE), _LONGEST)

    def line(self, text: str) -> None:
        """Writes a line above the area, which stays."""
        if self.is_open:
            self._guarded(lambda: self._console.print(Text(text), soft_wrap=True))
        else:
            print(text, file=self._stream, flush=True)

    def close(self) -> None:
        """Takes the area away."""
        if self._live is not None and self.is_open:
            self._guarded(self._live.stop)
        self.is_open = False

    def _open(self, draw: Callable[[bool], RenderableType]) -> None:
        self._live = Live(
            console=self._console,
            get_renderable=lambda: draw(not self._console.options.ascii_only),
            auto_refresh=False,
            transient=True,
            redirect_stderr=True,  # warnings go above the area
            redirect_stdout=_is_terminal(sys.stdout),  # what goes to a file stays there
        )
        self._live.start(refresh=True)
        self._console.show_cursor(True)  # a process that is killed would leave the terminal without one

    def _guarded(self, act: Callable[[], object]) -> None:
        try:
            act()
        except Exception:  # of a terminal that is none, or of rich: what is shown is a courtesy
            self.is_open = False
            self._restore()

    def _restore(self) -> None:
        """Gives the standard streams back, in silence."""
        self._console.file = io.StringIO()
        with contextlib.suppress(Exception):  # it has failed before
            if self._live is not None:
                self._live.stop()


def _is_terminal(stream: object) -> bool:
    return ForgivingStream(cast("TextIO", stream)).isatty()
