"""The run directory: claimed before anything is loaded, given back if the run never starts, its files always whole.

A claim is a lock that the system takes away when its process ends, however it ends. It is one of the process
(`fcntl.lockf`), which children do not inherit: workers that outlive a killed run do not keep its directory.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import shlex
import threading
from collections.abc import Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lossreg.errors import RunDirectoryError, describe_error
from lossreg.training.record.files import MAX_RECORD, json_object, read_regular_file
from lossreg.training.record.owner import describe_unfinished, is_gone

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the way to say that a module is missing

_ROOM, _ELSEWHERE = "make room there", "name a directory on another disk as out (--out)"
_DENIED = "permission denied; let this user write there, or name another directory as out (--out)"

#: Number of an error -> what it is, and what to do.
_WHY: dict[int | None, str] = {
    errno.ENOSPC: f"no space left on device; {_ROOM}, or {_ELSEWHERE}",
    getattr(errno, "EDQUOT", None): f"the disk quota is used up; {_ROOM}, or {_ELSEWHERE}",
    errno.EROFS: f"the file system can only be read; {_ELSEWHERE}",
    errno.EACCES: _DENIED,
    errno.EPERM: _DENIED,
}

NO_LINK = getattr(os, "O_NOFOLLOW", 0)  # a directory that someone gave may hold links to anywhere

_PARTIAL = ".partial"  # behind the name of a file that is being written

CLAIM = ".claimed"  # a file that exists from the claim of a directory to the end of its run
CHECKPOINTS = "checkpoints"  # the folder of a run's checkpoints, in its directory
RUNS = "runs"  # the folder of run directories without a name

_held: set[Path] = set()  # the directories of this process: a lock of a process does not keep out its other threads
_holding = threading.Lock()


def absolute_path(path: str | Path) -> Path:
    """A path that stays the same if the working directory changes; `~` is the home directory.

    Nothing of it is `..`, and it leads where it led: links are followed where a `..` behind one needs it.

    Raises:
        RunDirectoryError: If the working directory was removed, or the user behind `~` has no home.
    """
    try:
        found = Path(path).expanduser().absolute()
    except FileNotFoundError as error:
        raise _unusable(Path(path), "cannot be used: the working directory was removed; change to another") from error
    except RuntimeError as error:
        raise _unusable(Path(path), f"cannot be used: {error}") from error
    if ".." not in found.parts:
        return found
    whole, short = os.path.realpath(found), os.path.normpath(found)
    return Path(short if os.path.realpath(short) == whole else whole)


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
        except FileExistsError as error:
            directory.release()
            raise _unusable(path, "is not a directory; name another") from error
        except (OSError, ValueError) as error:  # the second for a null byte
            directory.release()
            reason = error.strerror if isinstance(error, OSError) and error.strerror else error
            raise _unusable(path, f"cannot be used: {reason}") from error
        return directory

    @classmethod
    def reopen(cls, path: Path) -> RunDirectory:
        """Takes the directory of a run that is to go on. No other run can take it then.

        Raises:
            RunDirectoryError: If it does not exist, a process still works on it, or it cannot be used.
        """
        directory = cls(absolute_path(path), [], None)
        if not directory.path.is_dir():
            raise _unusable(path, "does not exist" if not directory.path.exists() else "is not a directory")
        try:
            directory._lock = _locked(directory.path, "is in use: a process still works on it")
            sweep_partials(directory.path)
        except RunDirectoryError:  # an OSError, too
            raise
        except OSError as error:
            raise _unusable(path, f"cannot be used: {error.strerror}") from error
        return directory

    def _take(self) -> None:
        self._made += [folder for folder in (self.path, *self.path.parents) if not folder.exists()]
        self.path.mkdir(parents=True, exist_ok=True)
        if any(entry.name != CLAIM for entry in self.path.iterdir()):
            raise _unusable(self.path, f"is not empty{_unfinished_run(self.path)}")
        self._lock = _locked(self.path, "belongs to another run, which is about to start; name another")
        if any(entry.name != CLAIM for entry in self.path.iterdir()):  # another run was faster
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

    def close(self) -> None:
        """Gives the claim back: the run is over."""
        lock, self._lock = self._lock, None
        if lock is None:
            return
        with _holding:
            _held.discard(self.path)
        if fcntl is None:
            os.close(lock)  # Windows removes no file that is open
        with contextlib.suppress(OSError):
            (self.path / CLAIM).unlink(missing_ok=True)
        if fcntl is not None:
            os.close(lock)  # afterwards: what is locked and removed is no claim of another run

    def release(self) -> None:
        """Removes what claiming made, where it is still empty."""
        self.close()
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError, ValueError):  # the second for a null byte
                folder.rmdir()


def _locked(directory: Path, why: str) -> int:
    """The descriptor of a new claim, or of one that a process left when it died: locks end with their process.

    Args:
        directory: What is claimed.
        why: What to say if another run has claimed it.

    Raises:
        RunDirectoryError: If another run has claimed the directory.
    """
    with _holding:
        if directory in _held:  # before the file is opened: closing it again would give up the lock of this process
            raise _unusable(directory, why)
        descriptor = _lock_of(directory / CLAIM)
        if descriptor is None:
            raise _unusable(directory, why)
        _held.add(directory)
    return descriptor


def _lock_of(claim: Path) -> int | None:
    """The descriptor of a claim that this process has locked; None if another one has."""
    while True:
        left = False
        try:
            descriptor = os.open(claim, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o666)
        except FileExistsError:
            left = True
            descriptor = os.open(claim, os.O_RDWR | os.O_CREAT | NO_LINK, 0o666)
        if not _is_locked(descriptor, left=left):
            os.close(descriptor)
            return None
        if _is_still(claim, descriptor):
            return descriptor
        os.close(descriptor)


def _is_locked(descriptor: int, *, left: bool) -> bool:
    """Locks a claim and says whether that worked; without locks, whether no claim was there."""
    if fcntl is None:
        return not left
    try:
        fcntl.lockf(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except (BlockingIOError, PermissionError):  # the systems differ in what they say of a lock of another process
        return False
    except OSError:
        return not left  # this file system has no locks
    return True


def _is_still(claim: Path, descriptor: int) -> bool:
    """Whether the file that was locked is the claim, and not one that its owner has just removed."""
    try:
        return os.path.samestat(claim.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _unfinished_run(directory: Path) -> str:
    """What a person should know of the run in a directory that is not empty, and what to do."""
    content: dict[str, Any] = {}
    with contextlib.suppress(OSError, ValueError):
        content = json_object(read_regular_file(directory / "run.json", MAX_RECORD))
    said = describe_unfinished(content)
    is_over = said is not None and is_gone(content.get("process")) is not False
    resume = ""
    if (is_over or content.get("status") in ("interrupted", "failed")) and (directory / CHECKPOINTS).is_dir():
        resume = f"go on with it: lossreg run --resume {shlex.quote(str(directory))}; or "
    return f"{f' ({said})' if said else ''}; {resume}name another directory as out (--out), or remove it"


def _unusable(path: Path, why: str) -> RunDirectoryError:
    return RunDirectoryError(f"the run directory {path} {why}", path=str(path))


def why_not_written(error: BaseException) -> str:
    """Why a file of a run directory cannot be written, and what to do where that is known.

    Args:
        error: What writing raised.

    Example:
        >>> why_not_written(OSError(errno.ENOSPC, "No space left on device"))
        'no space left on device; make room there, or name a directory on another disk as out (--out)'
    """
    return _WHY.get(error.errno if isinstance(error, OSError) else None) or describe_error(error)


def sweep_partials(directory: Path, of: str = "*") -> None:
    """Removes what a process that died had begun to write; in a directory that someone gave, it may be a link.

    Args:
        directory: Where.
        of: The file that it was to be; `*` is any.
    """
    found = [path.name for path in directory.glob(f".*{_PARTIAL}")] if of == "*" else [f".{of}{_PARTIAL}"]
    for name in found:
        with contextlib.suppress(OSError):  # what is a directory cannot be written to
            (directory / name).unlink()


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """A file to write to, which takes its place only when it is whole."""
    partial = path.with_name(f".{path.name}{_PARTIAL}")
    try:
        yield partial
        os.replace(partial, path)  # noqa: PTH105  # the one that is atomic on every system
    finally:
        partial.unlink(missing_ok=True)
