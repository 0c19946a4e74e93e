"""Code of plugins is foreign: whatever it raises is caught, and what it prints never reaches our stdout."""

from __future__ import annotations

import io
import os
import signal
import sys
import threading
from typing import ClassVar

_STDOUT, _STDERR = 1, 2

#: The signals that end a run, in addition to Ctrl-C.
ENDING = ("SIGTERM", "SIGHUP", "SIGUSR1")

#: Exit codes by which lossreg's own handlers of signals end a process.
_SIGNALS = frozenset(128 + getattr(signal, name) for name in ENDING if hasattr(signal, name))

#: The attribute of an error that the handler of a signal raised: the number of the signal.
SENT_BY = "_lossreg_signal"


def is_from_outside(error: BaseException) -> bool:
    """Whether an error came over the code that was running, which then is not to blame: Ctrl-C, or another signal.

    Example:
        >>> [is_from_outside(error) for error in (KeyboardInterrupt(), SystemExit(143), SystemExit(0), GeneratorExit())]
        [True, True, False, False]
    """
    if isinstance(error, KeyboardInterrupt) or hasattr(error, SENT_BY):
        return True
    return isinstance(error, SystemExit) and error.code in _SIGNALS


class StdoutToStderr:
    """Within the block, what is printed goes to stderr: stdout is for the results of a command.

    Blocks of several threads may overlap: stdout comes back at the end of the last of them.
    """

    _lock = threading.Lock()
    _open: ClassVar[list[StdoutToStderr]] = []

    def __enter__(self) -> None:
        with self._lock:
            self._gives_back = sys.stdout is not sys.stderr  # else a block around this one does
            self._stdout, sys.stdout = sys.stdout, sys.stderr
            self._open.append(self)

    def __exit__(self, *error: object) -> None:
        with self._lock:
            place = self._open.index(self)
            del self._open[place]
            if not self._gives_back:
                return
            if place == len(self._open):
                sys.stdout = self._stdout
            elif not (later := self._open[place])._gives_back:  # of another thread, which began after this one
                later._gives_back, later._stdout = True, self._stdout


def keep_stdout() -> None:
    """Makes `sys.stdout` the only way to this process's stdout, for the rest of its life.

    What C code, a child process or a kept `sys.__stdout__` writes to file descriptor 1 goes to stderr. Where
    `sys.stdout` is something else already, nothing is done.
    """
    stream = sys.stdout
    if stream is None or stream is not sys.__stdout__ or not isinstance(stream, io.TextIOWrapper):
        return
    try:
        if stream.fileno() != _STDOUT:
            return
        stream.flush()
        own = os.dup(_STDOUT)
        os.dup2(_STDERR, _STDOUT)
    except (OSError, ValueError):  # one of them is closed
        return
    sys.stdout = open(  # noqa: SIM115  # a descriptor has no path; it lives as long as the process
        own,
        "w",
        buffering=1 if stream.line_buffering else -1,
        encoding=stream.encoding,
        errors=stream.errors,
        closefd=False,  # Python flushes it at exit, and would warn that nothing has closed it
    )
