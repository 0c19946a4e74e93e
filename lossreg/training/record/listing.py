"""Finding the run directories in a folder."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import attrs

from lossreg.errors import ConfigError
from lossreg.training.record.directory import CLAIM
from lossreg.training.record.reading import RunSummary, read_summary
from lossreg.training.record.run_json import NAME
from lossreg.values import one_line


@attrs.frozen
class Unreadable:
    """A directory that is not a run's, or whose run.json cannot be used.

    Attributes:
        directory: The directory.
        reason: One line that names it and says what is wrong.
    """

    directory: Path
    reason: str


def find_runs(folder: Path, *, params: bool = False) -> Iterator[RunSummary | Unreadable]:
    """The runs of a folder, and of the folders in it: those of a comparison lie one level deeper.

    Args:
        folder: A folder of run directories, or a run directory. Files in it are passed over.
        params: Whether the parameters of components will be asked for.

    Raises:
        ConfigError: If it is not a folder, or cannot be read.
    """
    if _has_record(folder):
        yield _read(folder, params)
    try:
        places = _folders(folder)
    except OSError as error:
        raise ConfigError(f"{one_line(str(folder))} cannot be read: {error.strerror}") from error
    except ValueError as error:  # a null byte
        raise ConfigError(f"{one_line(str(folder))} cannot be read: {error}") from error
    for place in places:
        found = _read(place, params)
        if isinstance(found, Unreadable) and not _has_record(place):
            yield from _cells(place, found, params)
        else:
            yield found


def _cells(folder: str, otherwise: Unreadable, params: bool) -> Iterator[RunSummary | Unreadable]:
    """The runs in a folder that is not a run directory itself; if there are none, what is wrong with it."""
    try:
        cells = [place for place in _folders(folder) if _has_record(place)]
    except OSError as error:
        yield Unreadable(Path(folder), f"{one_line(folder)} cannot be read: {error.strerror}")
        return
    if not cells and os.path.lexists(os.path.join(folder, CLAIM)):  # noqa: PTH118  # see _folders
        yield Unreadable(Path(folder), f"{one_line(folder)} belongs to a run that is about to start, or never did")
    elif not cells:
        yield otherwise
    for place in cells:
        yield _read(place, params)


def _read(place: str | Path, params: bool) -> RunSummary | Unreadable:
    try:
        return read_summary(place, params=params)
    except ConfigError as error:
        return Unreadable(Path(place), error.message)


def _folders(folder: str | Path) -> list[str]:
    """The folders in a folder, by name; as texts, since making a Path takes as long as reading a run.json."""
    with os.scandir(folder) as entries:
        return sorted(entry.path for entry in entries if entry.is_dir())


def _has_record(folder: str | Path) -> bool:
    return os.path.lexists(os.path.join(folder, NAME))  # noqa: PTH118  # see _folders
