"""The run directory: claimed before anything is loaded, given back if the run never starts, its files always whole."""

from __future__ import annotations

import contextlib
import errno
import itertools
import json
import os
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path

from lossreg.errors import RunDirectoryError, describe_error
from lossreg.training.record.owner import describe_unfinished

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the way to say that a module is missing

_FULL = {errno.ENOSPC: "no space left on device", getattr(errno, "EDQUOT", None): "the disk quota is used up"}

CLAIM = ".claimed"  # a file that exists from the claim of a directory until its run.json is written
RUNS = "runs"  # the folder of run directories without a name


def absolute_path(path: str | Path) -> Path:
    """A path that stays the same if the working directory changes; `~` is the home directory.

    Raises:
        RunDirectoryError: If the working directory was removed, or the user behind `~` has no home.
    """
    try:
        return Path(path).expanduser().absolute()
    except FileNotFoundError as error:
        raise _unusable(Path(path), "cannot be used: the working directory was removed; change to another") from error
    except RuntimeError as error:
        raise _unusable(Path(path), f"cannot be used: {error}") from error


class RunDirectory:
    """The directory of one run.

    Attributes:
        path: Where it is; absolute.
    """

    def __init__(self, path: Path, made: list[Path], lock: int | None) -> None:
        self.path = path
        self._made = made  # what claiming had to make, innermost first
        self._lock = lock  # the descriptor of the claim

    @classmethod
    def claim(cls, path: Path) -> RunDirectory:
        """Makes the directory, with its parents; an empty one is taken. No other run can claim it then.

        Raises:
            RunDirectoryError: If it is not empty, another run has claimed it, it is a file, or it cannot be made or
                written to.
        """
        directory = cls(absolute_path(path), [], None)
        try:
            directory._take()
        except RunDirectoryError:
            directory.release()
            raise
        except (OSError, ValueError) as error:  # the second for a null byte
            directory.release()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise _unusable(path, f"cannot be used: {reason}") from error
        return directory

    def _take(self) -> None:
        self._made += [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = _locked(self.path)
        if any(entry.name != CLAIM for entry in self.path.iterdir()):
            raise _unusable(self.path, f"is not empty{_unfinished_run(self.path)}")

    @classmethod
    def claim_default(cls, labels: Mapping[str, str], runs: Path | None = None) -> RunDirectory:
        """Makes `<time>-<model>-<loss>-<optimizer>`; `-2` and so on if that exists.

        Args:
            labels: Field -> the component as a person would name it.
            runs: The folder for it; None is `runs` below the working directory.

        Raises:
            RunDirectoryError: If it cannot be made.
        """
        parts = [labels[field].partition("(")[0].rpartition(".")[2] for field in ("model", "loss", "optimizer")]
        stem = "-".join([datetime.now().strftime("%Y%m%d-%H%M%S"), *parts])
        folder = absolute_path(runs or RUNS)
        for number in itertools.count(1):
            try:
                return cls.claim(folder / (stem if number == 1 else f"{stem}-{number}"))
            except RunDirectoryError as error:
                if error.__cause__ is not None:
                    raise  # it cannot be made; otherwise another run has it
        raise AssertionError("unreachable")

    def started(self) -> None:
        """Takes the claim away: run.json exists now."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        if fcntl is None:
            os.close(lock)  # Windows removes no file that is open
        with contextlib.suppress(OSError):
            (self.path / CLAIM).unlink(missing_ok=True)
        if fcntl is not None:
            os.close(lock)  # afterwards: what is locked and removed is no claim of another run

    def release(self) -> None:
        """Removes what claiming made, where it is still empty."""
        self.started()
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError, ValueError):  # the second for a null byte
                folder.rmdir()


def _locked(directory: Path) -> int:
    """The descriptor of a new claim, or of one that a process left when it died: locks end with their process.

    Raises:
        RunDirectoryError: If another run has claimed the directory.
    """
    claim = directory / CLAIM
    while True:
        left = False
        try:
            descriptor = os.open(claim, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            left = True
            descriptor = os.open(claim, os.O_RDWR | os.O_CREAT, 0o666)
        why = _why_not_locked(descriptor, claim, left=left)
        if why is None and _is_still(claim, descriptor):
            return descriptor
        os.close(descriptor)
        if why is not None:
            raise _unusable(directory, why)


def _why_not_locked(descriptor: int, claim: Path, *, left: bool) -> str | None:
    """Locks a claim; if that fails, says why it cannot be taken."""
    try:
        if fcntl is not None:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return None
    except BlockingIOError:
        return "belongs to another run, which is about to start; name another"
    except OSError:
        pass  # this file system has no locks
    return (
        f"belongs to another run, which is about to start; name another, or remove {claim} if none is" if left else None
    )


def _is_still(claim: Path, descriptor: int) -> bool:
    """Whether the file that was locked is the claim, and not one that its owner has just removed."""
    try:
        return os.path.samestat(claim.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _unfinished_run(directory: Path) -> str:
    """What a person should know of the run in a directory that is not empty, and what to do."""
    said = None
    with contextlib.suppress(OSError, ValueError):
        content = json.loads((directory / "run.json").read_text(encoding="utf-8"))
        said = describe_unfinished(content) if isinstance(content, dict) else None
    return f"{f' ({said})' if said else ''}; name another --out directory, or remove it"


def _unusable(path: Path, why: str) -> RunDirectoryError:
    return RunDirectoryError(f"the run directory {path} {why}", path=str(path))


def why_not_written(error: BaseException) -> str:
    """Why a file of a run directory cannot be written, and what to do where the disk is full.

    Args:
        error: What writing raised.

    Example:
        >>> why_not_written(OSError(errno.ENOSPC, "No space left on device"))
        'no space left on device; make room there, or name a directory on another disk (--out)'
    """
    full = _FULL.get(error.errno) if isinstance(error, OSError) else None
    return f"{full}; make room there, or name a directory on another disk (--out)" if full else describe_error(error)


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to, which takes its place only when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)  # noqa: PTH105  # the one that is atomic on every system
    finally:
        partial.unlink(missing_ok=True)
