"""What a checkpoint says of itself, read without torch: its facts, and the length and hash of each of its files."""

from __future__ import annotations

import hashlib
import json
import os
import re
import stat
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.reading import read_bytes, read_json, read_parts, retried, why_unreadable
from lossreg.errors import CheckpointError
from lossreg.values import shown

FORMAT = 1
MANIFEST = "manifest.json"
MAX_BYTES = 1 << 20  # of a manifest

#: Names of checkpoints; a leftover is one of these behind a dot, with what was done to it.
NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}(\.[A-Za-z0-9_-]{1,20})*")
#: Written and not whole yet; taken out of the list and not removed yet; making place for one of the same name.
PARTIAL, REMOVED, REPLACED = "partial", "removed", "replaced"

_FILE = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}\.(json|safetensors)")
_HASH = re.compile(r"[0-9a-f]{64}")


@attrs.frozen
class Manifest:
    """The manifest of a checkpoint.

    Attributes:
        path: The directory of the checkpoint.
        facts: What its writer says of it: plain values of JSON. `step` says which one is newer.
        files: Name -> length in bytes and SHA-256, in hexadecimal digits, of each file but the manifest.
    """

    path: Path
    facts: Mapping[str, Any]
    files: Mapping[str, tuple[int, str]]

    @property
    def step(self) -> int:
        """The step of training that the facts name, or -1."""
        step = self.facts.get("step")
        return step if type(step) is int else -1

    @classmethod
    def read(cls, path: Path) -> Manifest:
        """Reads the manifest of a directory.

        Raises:
            CheckpointError: If it is missing or damaged.
        """
        try:
            if not stat.S_ISDIR(path.lstat().st_mode):
                raise _damaged(path, "it is not a directory")
            return cls.parse(path, read_bytes(path / MANIFEST, MAX_BYTES))
        except CheckpointError:
            raise
        except Exception as error:  # a file may hold anything
            raise _damaged(path, f"{MANIFEST}: {why_unreadable(error)}") from error

    @classmethod
    def parse(cls, path: Path, data: bytes) -> Manifest:
        """The manifest of a directory by its text.

        Raises:
            CheckpointError: If it is not as it was written.
            Exception: Anything else, if it is something else.
        """
        content = read_json(data)
        told = content.get("format") if isinstance(content, dict) else None
        if told != FORMAT:
            raise ValueError(f"its format is {shown(told)}, and this version reads {FORMAT}")
        files = {name: (value["bytes"], value["sha256"]) for name, value in content["files"].items()}
        manifest = cls(path, content["facts"], files)
        manifest._check()
        if data != manifest.to_bytes():
            raise ValueError("it is not as it was written")
        return manifest

    def _check(self) -> None:
        if type(self.facts) is not dict:
            raise ValueError("it has no facts")
        for name, (length, digest) in self.files.items():
            if not _FILE.fullmatch(name) or name == MANIFEST:
                raise ValueError(f"it names a file {shown(name)}, which no checkpoint has")
            if type(length) is not int or length < 0 or not isinstance(digest, str) or not _HASH.fullmatch(digest):
                raise ValueError(f"what it says of {name} makes no sense")

    def to_bytes(self) -> bytes:
        """The text of the manifest, which ends in its own hash.

        Raises:
            ValueError: If the facts are not plain values of JSON.
        """
        files = {name: {"bytes": length, "sha256": digest} for name, (length, digest) in sorted(self.files.items())}
        content = {"format": FORMAT, "facts": self.facts, "files": files}
        digest = hashlib.sha256(_text(content).encode()).hexdigest()
        return (_text({**content, "sha256": digest}) + "\n").encode()

    def verify(self) -> None:
        """Reads all files and compares them with the manifest.

        Raises:
            CheckpointError: If a file is missing, is not listed, or has another length or content; or the manifest has
                changed.
        """
        if Manifest.read(self.path) != self:
            raise _damaged(self.path, f"{MANIFEST} has changed")
        for name in self._names():
            if name not in self.files and name != MANIFEST:
                raise _damaged(self.path, f"it holds {shown(name)}, which {MANIFEST} does not list")
        for name, (length, digest) in self.files.items():
            why = _why_not_as_listed(self.path / name, length, digest)
            if why is not None:
                raise _damaged(self.path, f"{name}: {why}")

    def _names(self) -> list[str]:
        try:
            return sorted(retried(os.listdir, self.path))
        except OSError as error:
            raise _damaged(self.path, why_unreadable(error)) from error


def read_manifests(folder: Path) -> tuple[list[Manifest], list[CheckpointError]]:
    """The checkpoints in a folder, newest first, by their manifests alone; and what is wrong with the others.

    Args:
        folder: A folder of checkpoints; one that does not exist holds none.

    Raises:
        CheckpointError: If the folder cannot be read.
    """
    manifests, broken = [], []
    for path in _directories(folder):
        try:
            manifests.append(Manifest.read(path))
        except CheckpointError as error:
            broken.append(error)
    return sorted(manifests, key=lambda manifest: (manifest.step, manifest.path.name), reverse=True), broken


def leftover(path: Path) -> tuple[str, str] | None:
    """The checkpoint that a leftover was or would have been, and what was done to it; None for anything else.

    Example:
        >>> leftover(Path(".step-12.partial")), leftover(Path("step-12"))
        (('step-12', 'partial'), None)
    """
    name, _, what = path.name.removeprefix(".").rpartition(".")
    if not path.name.startswith(".") or what not in (PARTIAL, REMOVED, REPLACED) or not NAME.fullmatch(name):
        return None
    return name, what


def leftover_path(path: Path, what: str) -> Path:
    """Where a checkpoint is while something is done to it."""
    return path.with_name(f".{path.name}.{what}")


def _directories(folder: Path) -> Iterator[Path]:
    """The checkpoints by name; one that was making place counts where nothing has taken it."""
    try:
        paths = [folder / name for name in sorted(retried(os.listdir, folder))]
    except FileNotFoundError:
        return
    except OSError as error:
        words = f"the folder of checkpoints {folder} cannot be read: {why_unreadable(error)}"
        raise CheckpointError(words, path=str(folder)) from error
    for path in paths:
        left = leftover(path)
        if NAME.fullmatch(path.name) or (left and left[1] == REPLACED and folder / left[0] not in paths):
            yield path


def _why_not_as_listed(path: Path, length: int, digest: str) -> str | None:
    try:
        found, hashed = 0, hashlib.sha256()
        for part in read_parts(path):
            found += len(part)
            hashed.update(part)
    except (OSError, ValueError) as error:
        return why_unreadable(error)
    if found != length:
        return f"it has {found} bytes, and {MANIFEST} says {length}"
    return None if hashed.hexdigest() == digest else f"its content is not the one that {MANIFEST} lists (SHA-256)"


def _text(content: Mapping[str, Any]) -> str:
    return json.dumps(content, separators=(",", ":"), allow_nan=False)


def _damaged(path: Path, why: str) -> CheckpointError:
    return CheckpointError(f"the checkpoint {path} is damaged: {why}", path=str(path))
