"""A folder of checkpoints: writing, listing, falling back, pruning and sweeping."""

from __future__ import annotations

import logging
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch

from lossreg.checkpoints.checkpoint import Checkpoint
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.checkpoints.weights_file import read_weights
from lossreg.errors import CheckpointError, StateError
from tests.table import for_each


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


def test_prune_removes_nothing_where_the_newest_is_damaged(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """The older ones are what there is to go back to."""
    folder = CheckpointFolder(tmp_path)
    for step in range(3):
        write(folder, step)
    (tmp_path / "step-2" / "state.json").write_text("{}")
    with caplog.at_level(logging.WARNING, "lossreg"):
        assert folder.prune(1) == ()
    assert len(folder.list()) == 3
    assert "older ones are kept" in caplog.text


def test_prune_keeps_at_least_one(tmp_path: Path) -> None:
    """Fewer would be none."""
    with pytest.raises(ValueError, match="at least one"):
        CheckpointFolder(tmp_path).prune(0)


def test_a_checkpoint_replaces_one_of_its_name(tmp_path: Path) -> None:
    """The newer content is read, and nothing else is left."""
    folder = CheckpointFolder(tmp_path)
    for step in (1, 2):
        folder.write("last", {"step": step}, {}, {"step": step})
    assert folder.newest().read_state() == {"step": 2}
    assert [path.name for path in tmp_path.iterdir()] == ["last"]


def test_sweep_removes_its_own_leftovers_only(tmp_path: Path) -> None:
    """Files that others left are not touched, whatever a link leads to."""
    folder = CheckpointFolder(tmp_path / "checkpoints")
    write(folder, 1)
    (tmp_path / "outside").mkdir()
    for name in (".step-2.partial", ".step-0.removed", ".step-1.replaced", "notes", ".hidden", "..partial"):
        (folder.path / name).mkdir()
        (folder.path / name / "file").touch()
    (folder.path / ".step-9.partial").symlink_to(tmp_path / "outside")
    assert folder.sweep() == (".step-0.removed", ".step-1.replaced", ".step-2.partial", ".step-9.partial")
    assert sorted(path.name for path in folder.path.iterdir()) == ["..partial", ".hidden", "notes", "step-1"]
    assert (tmp_path / "outside").is_dir()


def test_a_checkpoint_that_was_making_place_counts(tmp_path: Path) -> None:
    """A process was killed between the two renames: what it had is read, and gets its name back."""
    folder = CheckpointFolder(tmp_path)
    checkpoint = write(folder, 1)
    checkpoint.path.rename(tmp_path / ".step-1.replaced")
    assert folder.newest().read_state()["step"] == 1
    folder.sweep()
    assert [each.path.name for each in folder.list()] == ["step-1"]


def test_a_folder_that_does_not_exist_is_swept(tmp_path: Path) -> None:
    """There is nothing to remove."""
    assert CheckpointFolder(tmp_path / "none").sweep() == ()


def test_a_state_that_is_not_plain_leaves_nothing(tmp_path: Path) -> None:
    """In the state, the weights or the facts; the checkpoint before is as it was."""
    folder = CheckpointFolder(tmp_path)
    write(folder, 1)
    for facts, weights, state in (({}, {}, print), ({}, {"model": {"w": print}}, 1), ({"loss": float("nan")}, {}, 1)):
        with pytest.raises(StateError):
            folder.write("step-2", {"step": 2, **facts}, weights, state)
    assert [path.name for path in tmp_path.iterdir()] == ["step-1"]


@for_each("name", ["", ".", "..", "../x", "a/b", "/etc", ".step-1.partial", "a" * 200, "a\0", "a\n"])
def test_a_name_cannot_lead_out_of_the_folder(tmp_path: Path, name: str) -> None:
    """Neither that of a checkpoint nor that of weights."""
    with pytest.raises(ValueError, match="cannot be called"):
        CheckpointFolder(tmp_path / "c").write(name, {}, {}, None)
    with pytest.raises(ValueError, match="cannot be called"):
        CheckpointFolder(tmp_path / "c").write("step-1", {}, {name: {}}, None)
    assert not (tmp_path / "c").exists()


def test_weights_that_are_not_there_are_named(tmp_path: Path) -> None:
    """With what is."""
    checkpoint = write(CheckpointFolder(tmp_path), 1)
    with pytest.raises(CheckpointError, match=r"has no average\.safetensors, but model\.safetensors, state\.json"):
        checkpoint.read_weights("average")


def test_weights_say_what_they_are(tmp_path: Path) -> None:
    """The texts and numbers among the facts are in each file of weights."""
    checkpoint = write(CheckpointFolder(tmp_path), 3, weights="ema(0.999)", metrics={"loss": 1})
    assert read_weights(checkpoint.path / "model.safetensors")[1] == {"step": "3", "weights": "ema(0.999)"}


def test_facts_are_as_they_are_read(tmp_path: Path) -> None:
    """The checkpoint that `write` returns equals the one that is found: lists in place of tuples."""
    folder = CheckpointFolder(tmp_path)
    assert folder.write("a", {"step": 1, "shape": (1, 2)}, {}, None) == folder.newest()


def test_a_read_only_folder_is_an_error_of_the_system(tmp_path: Path) -> None:
    """For the caller, who goes on; `/proc` is read-only for everyone."""
    with pytest.raises(OSError):  # which one depends on the system
        CheckpointFolder("/proc/checkpoints").write("a", {}, {}, None)


WITHOUT_TORCH = """
import sys
class Refuse:
    def find_spec(self, name, *rest):
        if name.split(".")[0] in ("torch", "numpy", "safetensors"):
            raise AssertionError(name)
sys.meta_path.insert(0, Refuse())
from pathlib import Path
from lossreg.checkpoints.manifest import read_manifests
print([manifest.step for manifest in read_manifests(Path(sys.argv[1]))[0]])
"""


def test_facts_are_read_without_torch(tmp_path: Path) -> None:
    """A list of runs can tell of checkpoints."""
    for step in (1, 2):
        write(CheckpointFolder(tmp_path), step)
    command = [sys.executable, "-c", WITHOUT_TORCH, str(tmp_path)]
    assert subprocess.run(command, capture_output=True, text=True, check=True).stdout == "[2, 1]\n"
