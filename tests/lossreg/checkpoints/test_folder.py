"""A folder of checkpoints: writing, listing, falling back, pruning and sweeping."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import Any

import pytest
import torch

from lossreg.checkpoints.folder import Checkpoint, CheckpointFolder
from lossreg.errors import CheckpointError


def write(folder: CheckpointFolder, step: int, **facts: Any) -> Checkpoint:
    """A checkpoint whose content tells its step."""
    weights = {"model": {"weight": torch.full((3, 2), float(step))}}
    state = {"step": step, "momentum": torch.full((4,), -float(step))}
    return folder.write(f"step-{step}", {"step": step, **facts}, weights, state)


def test_what_was_written_is_read(tmp_path: Path) -> None:
    """Weights, state and facts come back from the newest checkpoint."""
    folder = CheckpointFolder(tmp_path / "checkpoints")
    write(folder, 3, metrics={"loss": 0.25})
    write(folder, 12)
    newest, older = folder.list()
    assert folder.newest() == newest
    assert (newest.facts, older.facts) == ({"step": 12}, {"step": 3, "metrics": {"loss": 0.25}})
    assert newest.read_weights()["weight"].tolist() == [[12.0, 12.0]] * 3
    state = newest.read_state()
    assert state["step"] == 12
    assert state["momentum"].tolist() == [-12.0] * 4


def test_a_checkpoint_is_made_of_four_files(tmp_path: Path) -> None:
    """A manifest, the weights, and the state as JSON and tensors."""
    checkpoint = write(CheckpointFolder(tmp_path), 1)
    names = sorted(path.name for path in checkpoint.path.iterdir())
    assert names == ["manifest.json", "model.safetensors", "state.json", "state.safetensors"]


def test_a_damaged_checkpoint_is_named_and_the_one_before_it_is_used(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A byte that changed is found, said aloud, and the older checkpoint taken."""
    folder = CheckpointFolder(tmp_path)
    older, newer = write(folder, 1), write(folder, 2)
    file = newer.path / "model.safetensors"
    data = bytearray(file.read_bytes())
    data[-1] ^= 1
    file.write_bytes(data)
    with caplog.at_level(logging.WARNING, "lossreg"):
        assert folder.newest() == older
    assert "step-2 is damaged: model.safetensors: its content is not the one" in caplog.text


def test_no_checkpoint_is_an_error(tmp_path: Path) -> None:
    """An empty folder, and one that does not exist, say so."""
    for path in (tmp_path, tmp_path / "none"):
        with pytest.raises(CheckpointError, match="there is no checkpoint in"):
            CheckpointFolder(path).newest()


def test_prune_keeps_the_newest_and_the_spared(tmp_path: Path) -> None:
    """The oldest are removed, but not one that is spared."""
    folder = CheckpointFolder(tmp_path)
    for step in range(5):
        write(folder, step)
    assert sorted(folder.prune(2, spare=["step-1"])) == ["step-0", "step-2"]
    assert [checkpoint.facts["step"] for checkpoint in folder.list()] == [4, 3, 1]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["step-1", "step-3", "step-4"]
