"""Whether something live can be shown, and opening it."""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import TYPE_CHECKING

from lossreg.streams import ForgivingStream

if TYPE_CHECKING:
    from rich.console import RenderableType

    from lossreg.training.display.area import LiveArea

_WITHOUT_CURSOR = ("dumb", "unknown")  # values of TERM


def open_area(stream: ForgivingStream, draw: Callable[[bool], RenderableType]) -> LiveArea | None:
    """An area on a terminal; None where the stream is none, or one whose cursor cannot be moved.

    Args:
        stream: Where to show it.
        draw: Makes what is shown, given whether the terminal has more than ASCII. What it needs of rich, it imports
            itself.
    """
    if not stream.isatty() or os.environ.get("TERM", "").lower() in _WITHOUT_CURSOR:
        return None
    from lossreg.training.display.area import LiveArea  # rich takes a tenth of a second to import

    return LiveArea(stream, draw)


def clock(seconds: float) -> str:
    """A time as `m:ss` or `h:mm:ss`.

    Example:
        >>> clock(5.2), clock(3725), clock(1e6)
        ('0:05', '1:02:05', '277:46:40')
    """
    minutes, second = divmod(int(seconds), 60)
    hours, minute = divmod(minutes, 60)
    return f"{hours}:{minute:02}:{second:02}" if hours else f"{minute}:{second:02}"
