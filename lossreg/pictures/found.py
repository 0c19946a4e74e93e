"""The runs that the words of a line name: run directories, and those below the directory of a comparison."""

from __future__ import annotations

import logging
import os
from collections.abc import Iterator, Sequence
from pathlib import Path

from lossreg.errors import ConfigError
from lossreg.training.record.reading import PastRun, read_run
from lossreg.training.record.run_json import NAME
from lossreg.values import one_line, shown

MAX_DEPTH = 3  # levels below a directory that is named, in which runs are looked for
MAX_RUNS = 2000  # a picture has far fewer; a whole disk is not read

logger = logging.getLogger("lossreg")


def read_runs(names: Sequence[str]) -> list[PastRun]:
    """Reads the runs, each once.

    Args:
        names: Run directories, a run.json in one, or directories with run directories below them.

    Raises:
        ConfigError: If one of them is neither, a run that was named cannot be read, or there are none below.
    """
    runs: dict[str, PastRun] = {}
    for name in names:
        if not name or "\0" in name:
            raise ConfigError(f"{shown(name)} is not the name of a directory; name a run directory")
        for place, is_named in _places(Path(name)):
            key = os.path.realpath(place)
            if key not in runs:
                run = _read(place, is_named=is_named)
                if run is not None:
                    runs[key] = run
    return list(runs.values())


def _read(place: Path, *, is_named: bool) -> PastRun | None:
    try:
        run = read_run(place)
    except ConfigError as error:
        if is_named:
            raise
        logger.warning("%s; it is left out", error.message)
        return None
    for note in run.notes:
        logger.warning("%s: %s", one_line(str(run.directory)), note)
    return run


def _places(named: Path) -> Iterator[tuple[Path, bool]]:
    """Run directories, and whether each was named itself."""
    if not os.path.isdir(named) or os.path.lexists(os.path.join(named, NAME)):  # noqa: PTH112, PTH118  # a Path raises for some names
        is_record = named.name == NAME and not os.path.isdir(named)  # noqa: PTH112  # see above
        yield named.parent if is_record else named, True
        return
    below = list(_below(named, MAX_DEPTH))
    if not below:
        yield named, True  # reading it says what is wrong
        return
    if len(below) > MAX_RUNS:
        raise ConfigError(f"{one_line(str(named))} holds more than {MAX_RUNS:,} runs; name those to draw")
    yield from ((place, False) for place in below)


def _below(folder: Path, depth: int) -> Iterator[Path]:
    try:
        entries = sorted((entry for entry in os.scandir(folder) if entry.is_dir(follow_symlinks=False)), key=_by_name)
    except OSError:
        return
    for entry in entries:
        place = Path(entry.path)
        if (place / NAME).is_file():
            yield place
        elif depth > 1:
            yield from _below(place, depth - 1)


def _by_name(entry: os.DirEntry[str]) -> str:
    return entry.name
