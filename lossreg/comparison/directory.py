"""The directory of a comparison: claimed for one process, gone on with later. Needs no torch."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.manifest import read_manifests
from lossreg.errors import CheckpointError, ConfigError, RunDirectoryError, RunFailedError, describe_error
from lossreg.past_runs.compare_json import FORMAT, NAME, read_compare_json
from lossreg.training.record.directory import (
    CHECKPOINTS,
    NO_LINK,
    RUNS,
    absolute_path,
    replacing,
    sweep_partials,
)

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the way to say that a module is missing

TABLE = "compare.csv"
LOCK = ".compare.lock"


@attrs.define
class ComparisonDirectory:
    """The directory of a comparison, while a process works on it.

    Attributes:
        path: Where it is; absolute.
        past: Its compare.json, if there was one.
    """

    path: Path
    past: dict[str, Any] | None
    _made: list[Path]
    _lock: int

    def write(self, content: Mapping[str, Any]) -> None:
        """Writes compare.json.

        Raises:
            RunFailedError: If that is not possible.
        """
        self._write(NAME, json.dumps({"format": FORMAT, **content}, indent=2, allow_nan=False) + "\n")

    def write_table(self, text: str) -> None:
        """Writes compare.csv.

        Raises:
            RunFailedError: If that is not possible.
        """
        self._write(TABLE, text)

    def _write(self, name: str, text: str) -> None:
        try:
            with replacing(self.path / name) as partial:
                partial.write_text(text, encoding="utf-8", newline="")
        except OSError as error:  # a full disk
            raise RunFailedError(
                f"{self.path / name} cannot be written to: {describe_error(error)}", epoch=0, step=0
            ) from error

    def has_checkpoint(self, name: str) -> bool:
        """Whether a run has left a checkpoint; it may be damaged."""
        try:
            return bool(read_manifests(self.path / name / CHECKPOINTS)[0])
        except CheckpointError:
            return False

    def clear(self, name: str) -> Path:
        """Removes what a run that did not come to its end has left; returns where its directory was."""
        place = self.path / name
        if place.is_dir() and not place.is_symlink():
            shutil.rmtree(place)
        return place


@contextlib.contextmanager
def claimed(out: Path | None, runs: Path | None = None) -> Iterator[ComparisonDirectory]:
    """Within the block the directory belongs to this process; what was made for it and is empty goes at the end.

    Args:
        out: Absent, empty, or that of a comparison; None is a new one, `<time>-compare`.
        runs: The folder for it then; None is `runs` below the working directory.

    Raises:
        RunDirectoryError: If it cannot be used, or another process works on it.
        ConfigError: If its compare.json is damaged.
    """
    path = _new(absolute_path(runs or RUNS)) if out is None else absolute_path(out)
    made = [folder for folder in (path, *path.parents) if not folder.exists()]
    lock = None
    try:
        try:
            path.mkdir(parents=True, exist_ok=True)
            lock = _locked(path)
            sweep_partials(path)
        except (OSError, ValueError) as error:
            if isinstance(error, RunDirectoryError):
                raise
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise _unusable(path, f"cannot be used: {reason}") from error
        yield ComparisonDirectory(path, _past(path), made, lock)
    finally:
        if lock is not None:
            (path / LOCK).unlink(missing_ok=True)
            os.close(lock)
        for folder in made:
            with contextlib.suppress(OSError):  # it is not empty
                folder.rmdir()


def read_comparison(path: Path) -> dict[str, Any] | None:
    """The compare.json of a directory, or None if it has none.

    Raises:
        ConfigError: If it is damaged, or of a format that this version does not read.
    """
    try:
        content = read_compare_json(path)
    except ConfigError as error:
        raise ConfigError(f"{error.message}; name another --out directory") from error
    cells = content["cells"] if content else []
    if not all(isinstance(cell, dict) and isinstance(cell.get("name"), str) for cell in cells):
        raise ConfigError(f"{path / NAME} is damaged: a cell has no name; name another --out directory")
    return content


def _past(path: Path) -> dict[str, Any] | None:
    past = read_comparison(path)
    if past is None and any(entry.name != LOCK for entry in path.iterdir()):
        raise _unusable(path, f"is not empty, and is not a comparison (it has no {NAME}); name another --out directory")
    return past


def _new(folder: Path) -> Path:
    """`<time>-compare`, and `-2` and so on if that exists."""
    stem = f"{datetime.now():%Y%m%d-%H%M%S}-compare"
    names = (stem if number == 1 else f"{stem}-{number}" for number in itertools.count(1))
    return next(folder / name for name in names if not (folder / name).exists())


def _locked(path: Path) -> int:
    """The descriptor of a lock, which ends with its process.

    Raises:
        RunDirectoryError: If another process has it.
    """
    descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError as error:
        os.close(descriptor)
        raise _unusable(path, "belongs to a comparison that is still running; wait for it, or name another") from error
    except OSError:
        pass  # this file system has no locks
    return descriptor


def _unusable(path: Path, why: str) -> RunDirectoryError:
    return RunDirectoryError(f"the directory {path} {why}", path=str(path))
