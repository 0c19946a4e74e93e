"""Files and directories that are on the disk when a call returns, or an `OSError` says that they are not."""

from __future__ import annotations

import contextlib
import errno
import hashlib
import os
import shutil
import stat
import sys
from collections.abc import Iterator
from pathlib import Path

from lossreg.checkpoints.reading import retried

try:
    import fcntl
except ImportError:  # Windows
    fcntl = None  # type: ignore[assignment]  # the way to say that a module is missing

_FLAGS = (
    os.O_WRONLY
    | os.O_CREAT
    | os.O_EXCL
    | getattr(os, "O_NOFOLLOW", 0)
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
_FULL_SYNC = getattr(fcntl, "F_FULLFSYNC", None)  # macOS: fsync alone leaves the data in the drive's own memory
_AT_ONCE = 1 << 22  # bytes written and hashed while they are in the processor's caches
_NO_DIRECTORY_SYNC = {errno.EINVAL, errno.ENOTSUP}  # what file systems without one say


class DurableFile:
    """A new file for writing, which counts and hashes what it is given.

    Attributes:
        path: Where it is.
        length: Bytes written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.length = 0
        self._hash = hashlib.sha256()
        self._descriptor = retried(os.open, path, _FLAGS, 0o666)

    def write(self, data: bytes | memoryview, /) -> int:
        """Writes all of the data.

        Raises:
            OSError: If that is not possible.
        """
        view = memoryview(data).cast("B")
        start = 0
        while start < len(view):
            part = view[start : start + _AT_ONCE]
            count = retried(os.write, self._descriptor, part)
            if count <= 0:
                raise OSError(errno.EIO, "the system writes nothing", str(self.path))
            self._hash.update(part[:count])
            start += count
        self.length += len(view)
        return len(view)

    def sync(self) -> None:
        """Waits until the file is on the disk."""
        _sync(self._descriptor)

    @property
    def sha256(self) -> str:
        """The hash of what was written."""
        return self._hash.hexdigest()

    def close(self) -> None:
        """Gives the file back to the system."""
        descriptor, self._descriptor = self._descriptor, -1
        if descriptor >= 0:
            os.close(descriptor)


@contextlib.contextmanager
def durable_file(path: Path) -> Iterator[DurableFile]:
    """A new file, which is on the disk when the block ends without an error."""
    file = DurableFile(path)
    try:
        yield file
        file.sync()
    finally:
        file.close()


def sync_directory(path: Path) -> None:
    """Waits until the names in a directory are on the disk. Windows has nothing for that."""
    if sys.platform == "win32":
        return
    descriptor = retried(os.open, path, os.O_RDONLY | os.O_DIRECTORY | getattr(os, "O_CLOEXEC", 0))
    try:
        _sync(descriptor)
    except OSError as error:
        if error.errno not in _NO_DIRECTORY_SYNC:
            raise
    finally:
        os.close(descriptor)


def rename(old: Path, new: Path) -> None:
    """Gives a directory another name in one step. On the disk after `sync_directory` of the folder."""
    retried(os.rename, old, new)


def remove(path: Path) -> None:
    """Removes a directory with all in it, or a file or link. What is not there is fine.

    Raises:
        OSError: If something of it is left.
    """
    with contextlib.suppress(FileNotFoundError):
        if stat.S_ISDIR(path.lstat().st_mode):
            retried(shutil.rmtree, path)
        else:
            retried(os.unlink, path)


def _sync(descriptor: int) -> None:
    if _FULL_SYNC is not None:
        with contextlib.suppress(OSError):  # a file system may not have it
            fcntl.fcntl(descriptor, _FULL_SYNC)
            return
    retried(os.fsync, descriptor)
