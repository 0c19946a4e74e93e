"""A folder of checkpoints: each is written beside, and gets its name when all of it is on the disk."""

from __future__ import annotations

import contextlib
import json
import logging
import os
import re
from collections.abc import Collection, Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.checkpoint import MAX_STATE, STATE, STATE_TENSORS, Checkpoint
from lossreg.checkpoints.durable import DurableFile, durable_file, remove, rename, sync_directory
from lossreg.checkpoints.manifest import (
    FORMAT,
    MANIFEST,
    MAX_BYTES,
    NAME,
    PARTIAL,
    REMOVED,
    REPLACED,
    Manifest,
    leftover,
    leftover_path,
    read_manifests,
)
from lossreg.checkpoints.reading import retried, why_unreadable
from lossreg.checkpoints.tree import Codec, encode
from lossreg.checkpoints.weights_file import write_weights
from lossreg.errors import CheckpointError, StateError

_log = logging.getLogger("lossreg")

_WEIGHTS = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}")


class CheckpointFolder:
    """A folder of checkpoints, which one process writes at a time.

    Args:
        path: The folder; it is made when the first checkpoint is written.
    """

    def __init__(self, path: str | Path) -> None:
        self.path = Path(path)

    def sweep(self) -> tuple[str, ...]:
        """Ends what a process that was killed had begun. Other files are left alone.

        Returns:
            The names of what was removed.
        """
        swept = []
        with contextlib.suppress(FileNotFoundError):
            for path in sorted(self.path / name for name in retried(os.listdir, self.path)):
                left = leftover(path)
                if left is None:
                    continue
                try:
                    _end(path, *left)
                    swept.append(path.name)
                except OSError as error:
                    _log.warning("%s, a leftover, cannot be removed: %s", path, why_unreadable(error))
        return tuple(swept)

    def write(
        self,
        name: str,
        facts: Mapping[str, Any],
        weights: Mapping[str, Mapping[str, Any]],
        state: Any,
        codecs: Iterable[Codec] = (),
    ) -> Checkpoint:
        """Writes a checkpoint. When it returns, all of it is on the disk; when it raises, the others are as they were.

        Args:
            name: The name of its directory. One of the same name is replaced.
            facts: Plain values of JSON; `step`, a whole number, says which checkpoint is newer.
            weights: Name of the file, without its ending -> `state_dict()`. The texts and numbers among the facts are
                in its metadata.
            state: Plain data and tensors, by `encode`.
            codecs: As `encode` has them.

        Raises:
            OSError: If it cannot be written; what was begun is removed if that is possible.
            StateError: If the state, the weights or the facts hold what cannot be written.
        """
        if not NAME.fullmatch(name):
            raise ValueError(f"a checkpoint cannot be called {name!r}")
        for each in weights:
            if not _WEIGHTS.fullmatch(each) or f"{each}.safetensors" == STATE_TENSORS:
                raise ValueError(f"weights cannot be called {each!r}")
        path = self.path / name
        partial = leftover_path(path, PARTIAL)
        self._make_folder()
        remove(partial)
        try:
            manifest = _write_files(partial, facts, weights, state, codecs)
            sync_directory(partial)
            self._put(partial, path)
        except BaseException:
            with contextlib.suppress(OSError):
                remove(partial)
            raise
        return Checkpoint(attrs.evolve(manifest, path=path))

    def _make_folder(self) -> None:
        made = [folder for folder in (self.path, *self.path.parents) if not folder.is_dir()]
        if made:
            retried(self.path.mkdir, parents=True, exist_ok=True)
        for folder in made:
            sync_directory(folder.parent)

    def _put(self, partial: Path, path: Path) -> None:
        """Gives a directory that is whole its name."""
        replaced = leftover_path(path, REPLACED)
        is_there = path.is_symlink() or path.exists()
        if is_there:
            remove(replaced)
            rename(path, replaced)
        try:
            rename(partial, path)
        except OSError:
            if is_there:
                rename(replaced, path)
            raise
        sync_directory(self.path)
        with contextlib.suppress(OSError):  # `sweep` does it another time
            remove(replaced)

    def list(self) -> list[Checkpoint]:
        """The checkpoints, newest first, without those whose manifest is damaged. Their files are not read."""
        return [Checkpoint(manifest) for manifest in read_manifests(self.path)[0]]

    def newest(self) -> Checkpoint:
        """The newest checkpoint that is whole. Each one that is not is named in a warning.

        Raises:
            CheckpointError: If none is.
        """
        manifests, broken = read_manifests(self.path)
        whys = [str(error) for error in broken]
        for manifest in manifests:
            checkpoint = Checkpoint(manifest)
            try:
                checkpoint.verify()
            except CheckpointError as error:
                whys.append(str(error))
                continue
            for why in whys:
                _log.warning("%s; %s is used", why, checkpoint.path.name)
            return checkpoint
        if not whys:
            raise CheckpointError(f"there is no checkpoint in {self.path}", path=str(self.path))
        raise CheckpointError("\n  ".join([f"no checkpoint in {self.path} can be used:", *whys]), path=str(self.path))

    def prune(self, keep: int, spare: Collection[str] = ()) -> tuple[str, ...]:
        """Removes the oldest checkpoints, if the newest one is whole.

        Args:
            keep: How many of the newest stay, at least 1.
            spare: Names of others that stay.

        Returns:
            The names of those removed.

        Raises:
            OSError: If one cannot be removed.
        """
        if keep < 1:
            raise ValueError("at least one checkpoint is kept")
        try:
            there = self.list()
        except CheckpointError as error:
            _log.warning("%s; older checkpoints are kept", error)
            return ()
        old = [each for each in there[keep:] if each.path.name not in spare and NAME.fullmatch(each.path.name)]
        if not old:
            return ()
        try:
            there[0].verify()
        except CheckpointError as error:
            _log.warning("%s; older ones are kept", error)
            return ()
        for checkpoint in reversed(old):
            removed = leftover_path(checkpoint.path, REMOVED)
            remove(removed)
            rename(checkpoint.path, removed)
            remove(removed)
        return tuple(each.path.name for each in old)


def _end(path: Path, name: str, what: str) -> None:
    """Ends what was begun with a leftover."""
    whole = path.with_name(name)
    if what == REPLACED and not whole.exists():
        rename(path, whole)
    else:
        remove(path)


def _write_files(
    partial: Path,
    facts: Mapping[str, Any],
    weights: Mapping[str, Mapping[str, Any]],
    state: Any,
    codecs: Iterable[Codec],
) -> Manifest:
    """Writes the files of a checkpoint, the manifest last."""
    value, tensors = encode(state, "", codecs)
    text = json.dumps({"format": FORMAT, "state": value}, separators=(",", ":"), allow_nan=False).encode()
    if len(text) > MAX_STATE:
        raise StateError(f"the state without its tensors is {len(text)} bytes long; at most {MAX_STATE} are read")
    told = {name: str(value) for name, value in facts.items() if type(value) in (str, int, float, bool)}
    files: list[DurableFile] = []
    retried(partial.mkdir)
    for name, entries in sorted(weights.items()):
        with durable_file(partial / f"{name}.safetensors") as file:
            write_weights(file, entries, told)
        files.append(file)
    with durable_file(partial / STATE_TENSORS) as file:
        write_weights(file, tensors, {})
    files.append(file)
    with durable_file(partial / STATE) as file:
        file.write(text)
    files.append(file)
    manifest = _manifest(partial, facts, files)
    with durable_file(partial / MANIFEST) as file:
        file.write(manifest.to_bytes())
    return manifest


def _manifest(path: Path, facts: Mapping[str, Any], files: list[DurableFile]) -> Manifest:
    listed = {file.path.name: (file.length, file.sha256) for file in files}
    try:
        content = Manifest(Path(), dict(facts), listed).to_bytes()
    except (TypeError, ValueError) as error:
        raise StateError(f"the facts of the checkpoint are not plain values of JSON: {error}") from error
    if len(content) > MAX_BYTES:
        raise StateError(f"the facts of the checkpoint are too long: {len(content)} bytes")
    return Manifest.parse(path, content)  # with the facts as they are read: lists in place of tuples
