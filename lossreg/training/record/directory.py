"""The run directory: claimed before anything is loaded, given back if the run never starts, its files always whole."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from lossreg.errors import RunDirectoryError

CLAIM = ".claimed"  # a file that exists from the claim of a directory until its run.json is written


class RunDirectory:
    """The directory of one run.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path, made: list[Path]) -> None:
        self.path = path
        self._made = made  # what claiming had to make, innermost first

    @classmethod
    def claim(cls, path: Path) -> RunDirectory:
        """Makes the directory, with its parents; an empty one is taken. No other run can claim it then.

        Raises:
            RunDirectoryError: If it is not empty, another run has claimed it, it is a file, or it cannot be made or
                written to.
        """
        missing: list[Path] = []
        claimed = False
        try:
            missing = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=True)
            (path / CLAIM).open("x").close()  # fails if it exists: of two runs one gets the directory
            claimed = True
            if any(entry.name != CLAIM for entry in path.iterdir()):
                raise _unusable(path, "is not empty; name another --out directory, or remove it")
        except OSError as error:
            if claimed:
                cls(path, missing).release()
            elif not isinstance(error, FileExistsError):
                cls(path, missing)._remove_made()
            if isinstance(error, RunDirectoryError):
                raise
            if isinstance(error, FileExistsError) and error.filename == str(path / CLAIM):
                raise _unusable(path, "belongs to another run, which is about to start; name another") from error
            raise _unusable(path, f"cannot be used: {error.strerror or error}") from error
        return cls(path, missing)

    @classmethod
    def claim_default(cls, labels: Mapping[str, str]) -> RunDirectory:
        """Makes `runs/<time>-<model>-<loss>-<optimizer>` below the working directory; `-2` and so on if that exists.

        Raises:
            RunDirectoryError: If it cannot be made.
        """
        parts = [labels[field].partition("(")[0].rpartition(".")[2] for field in ("model", "loss", "optimizer")]
        stem = "-".join([datetime.now().strftime("%Y%m%d-%H%M%S"), *parts])
        for number in itertools.count(1):
            path = Path("runs", stem if number == 1 else f"{stem}-{number}")
            if not path.exists():
                try:
                    return cls.claim(path)
                except RunDirectoryError:
                    if not path.exists():
                        raise  # it cannot be made; otherwise another run was faster
        raise AssertionError("unreachable")

    def started(self) -> None:
        """Takes the claim away: run.json exists now."""
        (self.path / CLAIM).unlink(missing_ok=True)

    def release(self) -> None:
        """Removes what claiming made, where it is still empty."""
        with contextlib.suppress(OSError):
            (self.path / CLAIM).unlink(missing_ok=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _unusable(path: Path, why: str) -> RunDirectoryError:
    return RunDirectoryError(f"the run directory {path} {why}", path=str(path))


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to, which takes its place only when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)  # noqa: PTH105  # the one that is atomic on every system
    finally:
        partial.unlink(missing_ok=True)
