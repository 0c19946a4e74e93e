"""A file that a command writes, such as a picture or a page: checked before anything is read, whole or not there."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path

from lossreg.errors import ConfigError
from lossreg.training.record.directory import replacing, sweep_partials
from lossreg.values import one_line, shown


def output_file(name: str | os.PathLike[str], option: str) -> Path:
    """Where a file goes that an option names; `~` is the home directory.

    Args:
        name: As it was written.
        option: What named it, for messages: `--out`.

    Raises:
        ConfigError: If it is empty, or no file can be there.
    """
    text = os.fspath(name)
    if not text:
        raise ConfigError(f"{option} is empty; name a file, or leave the option out")
    try:
        place = Path(text).expanduser() if text.startswith("~") else Path(text)
    except RuntimeError as error:
        raise ConfigError(f"{option} {shown(text)} cannot be used: {error}") from error
    check_output(place, f"{option} {shown(text)}")
    return place


def check_output(place: Path, named: str) -> None:
    """Checks that a file can be at a place.

    Args:
        place: Where it shall be.
        named: What messages call it.

    Raises:
        ConfigError: If it is a directory, a device or no name, or its directory does not exist.
    """
    if "\0" in str(place):
        raise ConfigError(f"{named} is not the name of a file: it has a null byte")
    try:
        # os.path is False for some names for which a Path raises.
        if os.path.isdir(place):  # noqa: PTH112  # see above
            raise ConfigError(f"{named} is a directory; name a file in it")
        if not os.path.isdir(place.parent):  # noqa: PTH112  # see above
            raise ConfigError(f"{named}: there is no directory {one_line(str(place.parent))}; make it first")
        if place.exists() and not place.is_file():
            raise ConfigError(f"{named} is not a regular file; name another")
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        raise ConfigError(f"{named} cannot be used: {getattr(error, 'strerror', None) or error}") from error


@contextlib.contextmanager
def written(place: Path) -> Iterator[Path]:
    """A file to write to, which takes its place only when it is whole; what was there stays until then.

    Raises:
        ConfigError: If it cannot be written.
    """
    try:
        sweep_partials(place.parent, place.name)
        with replacing(place) as partial:
            yield partial
    except (OSError, ValueError) as error:
        if isinstance(error, ConfigError):
            raise
        why = getattr(error, "strerror", None) or error
        raise ConfigError(f"{one_line(str(place))} cannot be written: {why}; name another file") from error
