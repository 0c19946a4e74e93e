"""How a run ends before its last epoch: a requested stop, Ctrl-C, SIGTERM, SIGHUP, SIGUSR1.

SIGUSR1 is what SLURM sends some time before it ends a job, where it is asked to (`--signal=USR1@90`).
"""

from __future__ import annotations

import contextlib
import signal
import threading
import traceback
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, NoReturn, Self

from lossreg.errors import ConfigError, RunFailedError, describe_error
from lossreg.plugins.isolation import ENDING, SENT_BY, is_from_outside

#: Exit codes of a command that a signal stopped: 130, and 143, 129 or 138.
INTERRUPTED = 128 + signal.SIGINT
_ENDING = tuple(getattr(signal, name) for name in ENDING if hasattr(signal, name))  # Windows has one
SIGNAL_NAMES = {128 + number: number.name for number in _ENDING}

#: The attribute of an error that a signal raised: the directory of the run, if it can go on from a checkpoint.
GOES_ON_FROM = "_lossreg_directory"


def check_reason(reason: object) -> None:
    """Checks the reason of a requested stop, which goes into run.json.

    Raises:
        ConfigError: If it is not one line of text.
    """
    if not isinstance(reason, str) or not reason.strip() or len(reason.splitlines()) > 1:
        raise ConfigError(f"request_stop takes the reason, one line of text, not {reason!r}")


@contextlib.contextmanager
def signals_as_exits() -> Iterator[None]:
    """Within the block SIGTERM, SIGHUP and SIGUSR1 raise SystemExit, so that the record is closed on the way out.

    A SIGHUP that is ignored stays so: the command was started with nohup.
    """
    taken = [number for number in _ENDING if number == signal.SIGTERM or signal.getsignal(number) != signal.SIG_IGN]
    previous = {number: signal.signal(number, _exit) for number in taken}
    try:
        yield
    finally:
        for number, handler in previous.items():
            signal.signal(number, handler)


def _exit(signum: int, frame: FrameType | None) -> NoReturn:
    del frame
    # Nothing may interrupt the way out: not a second signal, and not the end of a worker that got the signal, too.
    for number in _ENDING:
        signal.signal(number, signal.SIG_IGN)
    if hasattr(signal, "SIGCHLD"):  # Windows has none
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    raise SystemExit(128 + signum)


def signal_name(error: BaseException) -> str | None:
    """The signal that an error stands for, or None."""
    sent = getattr(error, SENT_BY, None)
    if isinstance(error, KeyboardInterrupt) or sent == signal.SIGINT:
        return "Ctrl-C"
    if sent is not None:
        return signal.Signals(sent).name
    return SIGNAL_NAMES.get(error.code) if isinstance(error, SystemExit) and isinstance(error.code, int) else None


@contextlib.contextmanager
def exits_as_failures(position: Callable[[], tuple[int, int]] | None = None) -> Iterator[None]:
    """Within the block, what is not an Exception and not of a signal becomes a RunFailedError, with it as the cause.

    A model that calls `sys.exit()` would end the program as if all were well; a Rust extension that panics, or a test
    that is skipped in the middle of a run, would pass everything that waits for an Exception.

    Args:
        position: Gives epoch and step; None is before the first step.
    """
    try:
        yield
    except BaseException as error:
        if isinstance(error, Exception) or is_from_outside(error):
            raise
        epoch, step = (0, 0) if position is None else position()
        when = "before the first step" if position is None else f"at epoch {epoch}, step {step}"
        frame = traceback.extract_tb(error.__traceback__)[-1]
        raise RunFailedError(
            f"the run failed {when}: {frame.name} ({frame.filename}, line {frame.lineno}) raised "
            f"{describe_error(error)}, which is not an Exception; a hook ends a run with run.request_stop(reason)",
            epoch=epoch,
            step=step,
        ) from error


class SignalGuard:
    """Within the block the first signal ends the run, and those that follow wait until the record is complete.

    A signal that comes while the record is being completed waits too, and ends the program afterwards. One for which a
    program has no handler, and by which the system would end it without a word, raises SystemExit. Only the main thread
    of a program has signals; in others this does nothing.

    Attributes:
        noted: The signal that came first within `noting`, or None.

    Example:
        >>> with contextlib.suppress(KeyboardInterrupt), SignalGuard() as guard:
        ...     with guard.holding():
        ...         signal.raise_signal(signal.SIGINT)
        ...         print("written")
        written
    """

    def __init__(self) -> None:
        self._handlers: dict[int, Callable[[int, FrameType | None], Any]] = {}
        self._replaced: dict[int, Any] = {}
        self._holds = False
        self._waiting: int | None = None
        self._note: Callable[[], None] | None = None
        self.noted: int | None = None

    def __enter__(self) -> Self:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, *_ENDING):
                handler = _exit if signal.getsignal(number) == signal.SIG_DFL else signal.getsignal(number)
                if callable(handler):  # not ignored
                    self._handlers[number] = handler
                    self._replaced[number] = signal.signal(number, self._handle)
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *rest: object) -> None:
        for number, handler in self._replaced.items():
            if signal.getsignal(number) == self._handle:  # the handler itself may have put another in its place
                signal.signal(number, handler)
        if self._waiting is not None and (error is None or signal_name(error) is None):
            signal.raise_signal(self._waiting)

    @contextlib.contextmanager
    def noting(self, note: Callable[[], None]) -> Iterator[None]:
        """Within the block the first signal is only noted, for the block to end when it can; a second one ends it.

        One that the block does not come to raise ends the program after the run.

        Args:
            note: Called when it comes, between any two instructions.

        Example:
            >>> with contextlib.suppress(KeyboardInterrupt), SignalGuard() as guard, guard.noting(lambda: None):
            ...     signal.raise_signal(signal.SIGINT)
            ...     print("saved")
            ...     guard.raise_noted()
            ...     print("never reached")
            saved
        """
        self._note = note
        try:
            yield
        finally:
            self._note = None
            if self.noted is not None:
                self._waiting, self.noted = self._waiting or self.noted, None

    @property
    def waits(self) -> bool:
        """Whether a signal ends the program when the run is over."""
        return self._waiting is not None

    def raise_noted(self, number: int | None = None) -> None:
        """Ends the run by the signal that was noted, if there is one; returns if its handler only takes note of it.

        Args:
            number: The signal that another process of the run got, where it was not this one.
        """
        note, self._note = self._note, None
        number, self.noted = self.noted or number, None
        if number is not None:
            self._handle(number, None)
        self._note = note

    @contextlib.contextmanager
    def holding(self) -> Iterator[None]:
        """Within the block signals wait; after it one that the run did not end by can end it again."""
        self._holds = True
        try:
            yield
        finally:
            self._holds = False

    @contextlib.contextmanager
    def pausing(self) -> Iterator[None]:
        """Within the block, in the middle of a run, signals wait; one that came is raised right after it.

        Example:
            >>> with contextlib.suppress(KeyboardInterrupt), SignalGuard() as guard:
            ...     with guard.pausing():
            ...         signal.raise_signal(signal.SIGINT)
            ...         print("switched")
            ...     print("never reached")
            switched
        """
        with self.holding():
            yield
        if self._waiting is not None:
            number, self._waiting = self._waiting, None
            signal.raise_signal(number)

    @contextlib.contextmanager
    def left_to_the_system(self) -> Iterator[None]:
        """Within the block the system ends the process at once by a signal for which a program has no handler.

        For calls of C++ code that may wait for long: Python calls handlers only when they return. Nothing that would
        have to be removed or kept may be there yet.
        """
        unhandled = [one for one, of in self._handlers.items() if of in (_exit, signal.default_int_handler)]
        for number in unhandled:
            signal.signal(number, signal.SIG_DFL)
        try:
            yield
        finally:
            for number in unhandled:
                signal.signal(number, self._handle)

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self._holds:
            self._waiting = self._waiting or number
            return
        if self._note is not None and self.noted is None:
            self.noted = number
            self._note()
            return
        self._holds = True
        try:
            self._handlers.get(number, _exit)(number, frame)
        except BaseException as error:
            setattr(error, SENT_BY, number)  # the code that it comes over is not to blame
            raise
        self._holds = False  # it did not raise: its program only takes note
