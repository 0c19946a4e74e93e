"""Signals in the processes that read samples: a run that is stopped still needs batches to end a step."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Iterator
from types import FrameType

OUTLIVING = 10.0  # seconds that a worker outlives a SIGTERM, in which the run comes to the end of its step


def outlive_signals(worker: int) -> None:
    """Has a worker go on when a signal reaches all processes of a run: the run still needs batches to end a step."""
    del worker
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    for name in ("SIGHUP", "SIGUSR1"):
        if hasattr(signal, name):  # Windows has none
            signal.signal(getattr(signal, name), signal.SIG_IGN)
    signal.signal(signal.SIGTERM, _end_later)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _held_back())


@contextlib.contextmanager
def holding_signals_back() -> Iterator[None]:
    """Within the block signals wait, and those that reach a worker that starts in it wait until it can outlive them."""
    if not hasattr(signal, "pthread_sigmask"):  # Windows
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _held_back())
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _held_back() -> set[signal.Signals]:
    return {signal.SIGINT, signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1}


def _end_later(number: int, frame: FrameType | None) -> None:
    del number, frame
    timer = threading.Timer(OUTLIVING, os._exit, [128 + signal.SIGTERM])
    timer.daemon = True
    timer.start()
