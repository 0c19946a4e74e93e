"""Where tests keep their temporary files: in memory, where waiting for a disk takes no time.

Each checkpoint and each record of a run is written through to the disk, and thousands of tests train; on a disk they
wait for a quarter of their time. A session has a folder of its own, and a lock on it as long as it lives, so that the
next session removes what one that was killed has left.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

MEMORY = Path("/dev/shm")  # noqa: S108  # Linux alone has it
ROOM = 4 * 2**30  # bytes; a session needs less than half of it
VARIABLE = "PYTEST_DEBUG_TEMPROOT"  # pytest's own, for the folder in which it makes those of `tmp_path`


def is_chosen() -> bool:
    """Whether it has been said where temporary files go, by a person or by the session that has this worker."""
    return any(name in os.environ for name in (VARIABLE, "TMPDIR", "PYTEST_XDIST_WORKER"))


class SessionFolder:
    """The folder of a session, locked until it is closed or the process ends.

    Args:
        path: The folder, which exists.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._lock = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def close(self, *, keep: bool) -> None:
        """Gives the lock back, and removes the folder unless it is to be looked at; the next session does that then."""
        if not keep:
            shutil.rmtree(self.path, ignore_errors=True)
        os.close(self._lock)


def session_folder(memory: Path = MEMORY, room: int = ROOM) -> SessionFolder | None:
    """Makes a folder for a session, and removes those of sessions that have ended.

    Args:
        memory: A file system in memory.
        room: The bytes that must be free.

    Returns:
        The folder; None where there is no such file system, or too little room.
    """
    root = memory / f"lossreg-tests-{os.getuid()}"
    try:
        root.mkdir(mode=0o700, exist_ok=True)
        if root.is_symlink() or root.stat().st_uid != os.getuid():
            return None
        with locked(root):
            for folder in root.iterdir():
                if not is_in_use(folder):
                    shutil.rmtree(folder, ignore_errors=True)
            free = os.statvfs(root)
            if free.f_bavail * free.f_frsize < room:
                return None
            return SessionFolder(Path(tempfile.mkdtemp(dir=root, prefix="session-")))
    except OSError:
        return None


@contextlib.contextmanager
def locked(folder: Path) -> Iterator[None]:
    """Waits for the lock on a folder, and holds it."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def is_in_use(folder: Path) -> bool:
    """Whether a session holds the lock on its folder."""
    lock = os.open(folder, os.O_RDONLY | os.O_DIRECTORY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(lock)
    return False
