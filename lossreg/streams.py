"""Text streams that fall silent where they cannot be written to: what is shown ends nothing. Where warnings go."""

from __future__ import annotations

import contextlib
import logging
import os
import sys
from collections.abc import Iterator
from typing import Any, TextIO

_STANDARD = (0, 1, 2)  # the file descriptors of stdin, stdout and stderr


@contextlib.contextmanager
def warnings_to(handler: logging.Handler) -> Iterator[None]:
    """Within the block what lossreg logs goes to this handler alone.

    Example:
        >>> with warnings_to(logging.NullHandler()):
        ...     logging.getLogger("lossreg").warning("not heard")
    """
    logger = logging.getLogger("lossreg")
    logger.addHandler(handler)
    logger.propagate = False
    try:
        yield
    finally:
        logger.removeHandler(handler)
        logger.propagate = True


class ForgivingStream:
    """A text stream whose first error is kept, and after it nothing more is written.

    A character that the stream's encoding does not have is written as an escape (`→` as `\\u2192`).

    Args:
        stream: Where to write; None, which Python has for a stream that was closed when it started, is nowhere.

    Attributes:
        error: Why the stream is silent, or None.

    Example:
        >>> import io
        >>> latin = io.TextIOWrapper(io.BytesIO(), encoding="latin-1")
        >>> stream = ForgivingStream(latin)
        >>> stream.write("a → b")
        5
        >>> latin.close()
        >>> stream.write("more"), type(stream.error).__name__
        (4, 'ValueError')
    """

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._on_terminal = self._is_terminal()
        self.error: Exception | None = None

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        """Writes what can be written, and returns the number of characters that it was given."""
        if not isinstance(text, str):
            raise TypeError(f"text is written here, not {type(text).__name__}")  # click asks by trying
        if self._stream is not None and self.error is None:
            try:
                self._write(self._stream, text)
            except Exception as error:  # whatever stands in for a standard stream may raise anything
                self.error = error
        return len(text)

    @staticmethod
    def _write(stream: TextIO, text: str) -> None:
        try:
            stream.write(text)
        except UnicodeEncodeError as error:
            stream.write(text.encode(error.encoding, "backslashreplace").decode(error.encoding))

    def flush(self) -> None:
        """Flushes what was written."""
        if self._stream is not None and self.error is None:
            try:
                self._stream.flush()
            except Exception as error:  # see `write`
                self.error = error

    def isatty(self) -> bool:
        """Whether it is a terminal that can still be written to."""
        return self._on_terminal and self.error is None

    @property
    def lost_content(self) -> Exception | None:
        """The error, unless the reader went away of its own accord: a closed pipe or terminal."""
        if isinstance(self.error, BrokenPipeError) or self._on_terminal:
            return None
        return self.error

    def give_up(self) -> None:
        """Sends what is left in the buffer of a silent stream nowhere: Python complains when it cannot write it."""
        if self.error is None:
            return
        with contextlib.suppress(Exception):  # it may be anything, see `write`
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self._stream.fileno())  # type: ignore[union-attr]  # with an error there is a stream
            os.close(nowhere)

    def _is_terminal(self) -> bool:
        try:
            return bool(self._stream.isatty())  # type: ignore[union-attr]  # what None lacks is an error like others
        except Exception:  # see `write`
            return False


@contextlib.contextmanager
def forgiving_standard_streams() -> Iterator[tuple[ForgivingStream, ForgivingStream]]:
    """Within the block stdout and stderr are forgiving, and the descriptors of closed ones lead nowhere.

    A closed descriptor is otherwise given to the next file that is opened, which then gets what C code prints.
    """
    for descriptor in _STANDARD:
        try:
            os.fstat(descriptor)
        except OSError:
            os.open(os.devnull, os.O_RDWR)  # the system takes the lowest one that is free: this one
    out, err = ForgivingStream(sys.stdout), ForgivingStream(sys.stderr)
    try:
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            yield out, err
    finally:
        for stream in (out, err):
            stream.flush()
            stream.give_up()
