"""The text of a file that a person names, read within bounds; `-` is stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from lossreg.checkpoints.reading import why_unreadable
from lossreg.errors import ConfigError
from lossreg.training.record.files import read_regular_file

MAX_BYTES = 10_000_000  # of a file of settings; a device such as /dev/zero has no end

STDIN = "-"  # the word for it


def named(path: str) -> str:
    """What messages call a file.

    Example:
        >>> named("run.toml"), named("-")
        ('run.toml', 'stdin')
    """
    return "stdin" if path == STDIN else path


def read_text(path: str, *, regular: bool = False) -> str:
    """The text of a file.

    Args:
        path: The file, which may be a pipe of a shell; `-` is stdin.
        regular: Whether it is in a directory that someone gave, where it has to be a regular file.

    Raises:
        ConfigError: If it does not exist, is not text, or is too long.
    """
    try:
        if path == STDIN:
            content = sys.stdin.buffer.read(MAX_BYTES + 1)
        elif regular:
            content = read_regular_file(Path(path), MAX_BYTES)
        else:
            with Path(path).open("rb") as stream:
                content = stream.read(MAX_BYTES + 1)
        text = content.decode("utf-8-sig")
    except (OSError, ValueError) as error:
        reason = "it is not text" if isinstance(error, UnicodeError) else why_unreadable(error)
        raise ConfigError(f"{named(path)} cannot be read: {reason}") from error
    if len(content) > MAX_BYTES:
        raise ConfigError(f"{named(path)} cannot be read: it is longer than {MAX_BYTES:,} bytes")
    return text
