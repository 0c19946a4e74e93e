"""How a run ends before its last epoch: a requested stop, Ctrl-C, SIGTERM."""

from __future__ import annotations

import contextlib
import signal
from collections.abc import Iterator
from types import FrameType
from typing import NoReturn

from lossreg.errors import ConfigError

INTERRUPTED, TERMINATED = 128 + signal.SIGINT, 128 + signal.SIGTERM  # exit codes: 130 and 143


def check_reason(reason: object) -> None:
    """Checks the reason of a requested stop, which goes into run.json.

    Raises:
        ConfigError: If it is not one line of text.
    """
    if not isinstance(reason, str) or not reason.strip() or len(reason.splitlines()) > 1:
        raise ConfigError(f"request_stop takes the reason, one line of text, not {reason!r}")


@contextlib.contextmanager
def sigterm_as_exit() -> Iterator[None]:
    """Within the block SIGTERM raises SystemExit, so that the record of the run is closed on the way out."""
    previous = signal.signal(signal.SIGTERM, _exit)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, previous)


def _exit(signum: int, frame: FrameType | None) -> NoReturn:
    del signum, frame
    # Nothing may interrupt the way out: not a second signal, and not the end of a worker that got the signal, too.
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    if hasattr(signal, "SIGCHLD"):  # Windows has none
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raise SystemExit(TERMINATED)


def signal_name(error: BaseException) -> str | None:
    """The signal that an error stands for, or None."""
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    return "SIGTERM" if isinstance(error, SystemExit) and error.code == TERMINATED else None
