"""What is on a disk when the power fails: a model of files and names, of which only what was synced is sure to stay."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import attrs

#: What may have reached the disk of the names in folders, and of the bytes of files, that were not synced.
LOSSES = [(names, data) for names in ("all", "none") for data in ("all", "half", "none")]


@attrs.define(eq=False)
class File:
    """The bytes of a file, as they are and as they were when it was last synced."""

    data: bytes = b""
    synced: bytes = b""

    def sync(self) -> None:
        """Takes what is there now as being on the disk."""
        self.synced = self.data

    def left(self, data: str) -> bytes:
        """Its bytes after a loss."""
        rest = self.data[len(self.synced) :]
        return self.synced + {"all": rest, "half": rest[: len(rest) // 2], "none": b""}[data]


@attrs.define(eq=False)
class Folder:
    """The names in a folder, as they are and as they were when it was last synced."""

    names: dict[str, File | Folder] = attrs.Factory(dict)
    synced: dict[str, File | Folder] = attrs.Factory(dict)

    def sync(self) -> None:
        """Takes what is there now as being on the disk."""
        self.synced = dict(self.names)


class Disk:
    """A model of what is in a folder, which is told of the system calls that change it.

    Args:
        root: The folder, which is empty.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._top = Folder()
        self._open: dict[int, File | Folder] = {}

    def tell(self, name: str, arguments: tuple[Any, ...], keywords: dict[str, Any], result: Any) -> None:
        """Takes in a system call that was made, by its name in `os`."""
        if name == "open":
            self._opened(self._place(arguments[0], keywords), arguments[1], result)
        elif name == "close":
            self._open.pop(arguments[0], None)
        elif name == "write":
            file = self._open.get(arguments[0])
            if isinstance(file, File):
                file.data += bytes(arguments[1][:result])
        elif name == "fsync" and arguments[0] in self._open:
            self._open[arguments[0]].sync()
        elif name == "mkdir":
            folder, new = self._place(arguments[0], keywords)
            folder.names[new] = Folder()
        elif name in ("unlink", "rmdir"):
            folder, old = self._place(arguments[0], keywords)
            del folder.names[old]
        elif name == "rename":
            (folder, old), (other, new) = self._place(arguments[0], {}), self._place(arguments[1], {})
            other.names[new] = folder.names.pop(old)

    def left(self, names: str, data: str) -> dict[str, Any]:
        """What is there after a loss of power: name -> bytes, or what is in a folder.

        Args:
            names: Which of the names that were not synced there are, as in `LOSSES`.
            data: Which of the bytes.
        """
        return _left(self._top, names, data)

    def _opened(self, place: tuple[Folder, str], flags: int, descriptor: int) -> None:
        folder, name = place
        if not name:
            self._open[descriptor] = folder
            return
        if flags & os.O_CREAT:
            folder.names[name] = File()
        self._open[descriptor] = folder.names[name]

    def _place(self, path: Any, keywords: dict[str, Any]) -> tuple[Folder, str]:
        """The folder that a path is in, and its name there; an empty one for the top."""
        if keywords.get("dir_fd") is not None:
            path = Path(f"/proc/self/fd/{keywords['dir_fd']}").readlink() / path
        parts = Path(path).relative_to(self._root).parts
        folder = self._top
        for part in parts[:-1]:
            inner = folder.names[part]
            assert isinstance(inner, Folder)
            folder = inner
        return folder, parts[-1] if parts else ""


def _left(folder: Folder, names: str, data: str) -> dict[str, Any]:
    there = folder.names if names == "all" else folder.synced
    return {
        name: each.left(data) if isinstance(each, File) else _left(each, names, data) for name, each in there.items()
    }


def put_down(content: dict[str, Any], where: Path) -> None:
    """Makes a folder of what `Disk.left` gave."""
    where.mkdir()
    for name, each in content.items():
        if isinstance(each, bytes):
            (where / name).write_bytes(each)
        else:
            put_down(each, where / name)
