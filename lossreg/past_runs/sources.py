"""The runs behind the directories that were named: run directories, and folders that hold some. Needs no torch."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import attrs

from lossreg.errors import ConfigError
from lossreg.training.record.reading import PastRun, read_run
from lossreg.training.record.run_json import NAME
from lossreg.values import one_line

MAX_DEPTH = 3  # of run directories below a folder; a comparison has them one or two levels deep
LEFT_OUT = "; this run is left out"
MAX_RUNS = 5000  # what a browser still shows; a whole disk is not read

logger = logging.getLogger("lossreg")


@attrs.frozen
class Source:
    """What was found.

    Attributes:
        runs: Each once, in the order in which they were named; those of a folder by name.
        folders: The folders among what was named, which hold runs: comparisons, or `runs` itself.
        unreadable: A line for each run directory in such a folder, or other file of it, that cannot be read.
    """

    runs: tuple[PastRun, ...]
    folders: tuple[Path, ...]
    unreadable: tuple[str, ...]

    def with_note(self, note: str) -> Source:
        """The same, with a line on something else that cannot be read."""
        return attrs.evolve(self, unreadable=(*self.unreadable, note))


def read_sources(named: Sequence[str | Path]) -> Source:
    """Reads all runs of some run directories, or of folders that hold them; warns of those that are left out.

    Args:
        named: Run directories, a run.json in one, or folders with run directories below them.

    Raises:
        ConfigError: If a name is empty, a directory does not exist, or is not a run directory and holds none; or if a
            run that was named cannot be read.
    """
    if not all(map(str, named)):
        raise ConfigError("RUN is empty; name a run directory")
    runs: list[PastRun] = []
    folders: list[Path] = []
    unreadable: list[str] = []
    seen: set[str] = set()
    for place in map(Path, named):
        inside = [] if _is_run(place) else list(_runs_below(place))
        if inside:
            folders.append(place)
        for each in inside or [place]:
            identity = os.path.realpath(each.parent if each.name == NAME else each)
            if identity in seen:
                continue
            seen.add(identity)
            if len(seen) > MAX_RUNS:
                raise ConfigError(f"there are more than {MAX_RUNS:,} runs, too many to show; name fewer")
            try:
                runs.append(read_run(each))
            except ConfigError as error:
                if not inside:
                    raise
                unreadable.append(f"{error.message}{LEFT_OUT}")
    if not runs:
        more = f" (as {len(unreadable) - 1} more run directories in it)" if len(unreadable) > 1 else ""
        raise ConfigError(f"{unreadable[0].removesuffix(LEFT_OUT)}{more}")
    for note in unreadable:
        logger.warning("%s", note)
    return Source(tuple(runs), tuple(folders), tuple(unreadable))


def _is_run(place: Path) -> bool:
    """Whether it is to be read as a run; also what does not exist, of which the reading says so."""
    # A Path raises for what cannot be a name; os.path does not.
    return place.name == NAME or os.path.lexists(os.path.join(place, NAME)) or not os.path.isdir(place)  # noqa: PTH118, PTH112


def _runs_below(folder: Path) -> Iterator[Path]:
    """The run directories in a folder, by name.

    Raises:
        ConfigError: If there are none, or the folder cannot be read.
    """
    found = False
    for place in _walk(folder, MAX_DEPTH):
        found = True
        yield place
    if not found:
        raise ConfigError(
            f"{one_line(str(folder))} is not a run directory and holds none: neither it nor a folder below it has a "
            f"{NAME}"
        )


def _walk(folder: Path, depth: int) -> Iterator[Path]:
    try:
        with os.scandir(folder) as entries:
            below = sorted(entry.name for entry in entries if entry.is_dir(follow_symlinks=False))
    except OSError as error:
        if depth == MAX_DEPTH:
            raise ConfigError(f"{one_line(str(folder))} cannot be read: {error.strerror}") from error
        return
    for name in _natural(below):
        place = folder / name
        if (place / NAME).is_file():
            yield place
        elif depth > 1:
            yield from _walk(place, depth - 1)


def _natural(names: Iterable[str]) -> list[str]:
    """Names in the order of a person: numbers in them by their value.

    Example:
        >>> _natural(["seed-10", "seed-9"])
        ['seed-9', 'seed-10']
    """

    def key(name: str) -> list[tuple[int, str]]:
        # Zeros in front do not count; a longer number is greater.
        return [(len(part.lstrip("0")), part) if part.isdigit() else (0, part) for part in re.split(r"(\d+)", name)]

    return sorted(names, key=key)
