"""A checkpoint that is in a folder: verifying and reading it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.manifest import FORMAT, Manifest
from lossreg.checkpoints.reading import read_bytes, read_json, why_unreadable
from lossreg.checkpoints.tree import Codec, decode
from lossreg.checkpoints.weights_file import read_weights
from lossreg.errors import CheckpointError, StateError

STATE, STATE_TENSORS = "state.json", "state.safetensors"
MAX_STATE = 1 << 26  # bytes of state.json


@attrs.define
class Checkpoint:
    """A checkpoint that is in a folder.

    Attributes:
        manifest: What it says of itself.
    """

    manifest: Manifest
    _is_verified: bool = attrs.field(default=False, init=False, eq=False)

    @property
    def path(self) -> Path:
        """Its directory."""
        return self.manifest.path

    @property
    def facts(self) -> Mapping[str, Any]:
        """What its writer says of it."""
        return self.manifest.facts

    def verify(self) -> None:
        """Reads all of it and compares it with its manifest.

        Raises:
            CheckpointError: If anything is missing, has been added, or has changed.
        """
        self._is_verified = False
        self.manifest.verify()
        self._is_verified = True

    def has(self, name: str) -> bool:
        """Whether weights were written by this name."""
        return f"{name}.safetensors" in self.manifest.files

    def read_weights(self, name: str = "model") -> dict[str, Any]:
        """The weights that were written by this name; verified before, once.

        Raises:
            CheckpointError: If it is damaged, or has no such weights.
        """
        return read_weights(self._file(f"{name}.safetensors"))[0]

    def read_state(self, like: Any = None, codecs: Iterable[Codec] = ()) -> Any:
        """The state; verified before, once.

        Args:
            like: As `decode` has it.
            codecs: As `decode` has them.

        Raises:
            CheckpointError: If it is damaged, or does not fit.
        """
        file = self._file(STATE)
        tensors, _ = read_weights(self._file(STATE_TENSORS))
        try:
            content = read_json(read_bytes(file, MAX_STATE))
            if not isinstance(content, dict) or content.get("format") != FORMAT or "state" not in content:
                raise ValueError(f"it is not a state of format {FORMAT}")
            return decode(content["state"], tensors, like, codecs)
        except StateError as error:
            raise CheckpointError(f"the checkpoint {self.path} cannot be read: {error}", path=str(self.path)) from error
        except Exception as error:  # a file may hold anything
            words = f"the checkpoint {self.path} cannot be read: {STATE}: {why_unreadable(error)}"
            raise CheckpointError(words, path=str(self.path)) from error

    def _file(self, name: str) -> Path:
        if not self._is_verified:
            self.verify()
        if name not in self.manifest.files:
            there = ", ".join(sorted(self.manifest.files)) or "no files"
            raise CheckpointError(f"the checkpoint {self.path} has no {name}, but {there}", path=str(self.path))
        return self.path / name
