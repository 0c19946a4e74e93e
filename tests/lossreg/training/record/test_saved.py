"""The weights that a run leaves behind, and reading them again."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors import safe_open
from safetensors.torch import load_file, load_model, save_file
from torch import nn

import lossreg
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.training.record.saved import read_kept, read_saved, read_source

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

SMALL: dict[str, Any] = {"model": "mlp", "epochs": 2, "limit_train": 64, "limit_test": 8, "checkpoint_every": None}


def metadata(file: Path) -> dict[str, str]:
    """What a safetensors file says of itself."""
    with safe_open(file, framework="pt") as opened:
        found: dict[str, str] = opened.metadata()
    return found


@pytest.mark.parametrize("weights", ["raw", "ema(0.9)"])
def test_a_file_of_weights_says_which_they_are(run: Run, weights: str) -> None:
    """The metadata have the weights, the epoch from 0 and the steps: 64 samples are one step of each of 2 epochs."""
    told = metadata(run(**SMALL, weights=weights).directory / "model.safetensors")
    assert {name: told[name] for name in ("weights", "epoch", "step")} == {
        "weights": weights, "epoch": "1", "step": "2",
    }  # fmt: skip


def test_the_best_epoch_is_that_of_the_file(run: Run) -> None:
    """With patience the file says the epoch whose weights were kept, and its step."""
    result = run(**{**SMALL, "epochs": 4}, patience=4, validate=0.25, optimizer="sgd(lr=0.5)")
    told = metadata(result.directory / "model.safetensors")
    assert (told["epoch"], told["step"]) == (str(result.best_epoch), str(result.final["step"]))


class Tied(nn.Module):
    """A linear map whose weights have two names, with numbers that are no tensor in its state."""

    def __init__(self) -> None:
        super().__init__()
        self.flat = nn.Flatten()
        self.first = nn.Linear(784, 784, bias=False)
        self.second = nn.Linear(784, 784, bias=False)
        self.second.weight = self.first.weight
        self.last = nn.Linear(784, 10)

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        """Applies the map twice."""
        output: torch.Tensor = self.last(self.second(self.first(self.flat(inputs))))
        return output

    def get_extra_state(self) -> dict[str, Any]:
        """Plain data."""
        return {"classes": ["zero", "one"], "seen": 3}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Takes the data."""
        self.told = state


def test_shared_weights_and_further_state_come_back(run: Run) -> None:
    """A tensor of two names is in the file once, both names come back, and what is not a tensor does too."""
    model = Tied()
    result = run(**{**SMALL, "model": model})
    file = result.directory / "model.safetensors"
    assert len(load_file(file)) == 3
    kept = read_kept(result.directory).model
    assert kept.state["_extra_state"] == {"classes": ["zero", "one"], "seen": 3}
    assert kept.state["first.weight"].data_ptr() == kept.state["second.weight"].data_ptr()
    assert torch.equal(kept.state["second.weight"], model.second.weight)


def test_another_library_loads_the_model(run: Run) -> None:
    """`safetensors.torch.load_model` reads the file into a model of the same class."""
    result = run(**SMALL)
    model = lossreg.models.build("mlp", in_features=784, out_features=10)
    missing, unexpected = load_model(model, result.directory / "model.safetensors")
    assert not [*missing, *unexpected]
    assert all(torch.equal(one, model.state_dict()[name]) for name, one in result.model.state_dict().items())


def old_run(directory: Path, state: dict[str, Any]) -> Path:
    """Makes a run directory as runs of before left it: weights by torch.save, which run.json tells of."""
    (directory / "model.safetensors").unlink()
    torch.save(state, directory / "model.pt")
    record = json.loads((directory / "run.json").read_text())
    record["files"] = {"model.pt": {"weights": "raw"}}
    (directory / "run.json").write_text(json.dumps(record))
    return directory


def test_a_run_of_before_is_read(run: Run) -> None:
    """Weights in model.pt are read, and run.json says which they are."""
    result = run(**SMALL)
    state = {name: value.clone() for name, value in result.model.state_dict().items()}
    kept = read_kept(old_run(result.directory, state)).model
    assert kept.held == "raw"
    assert all(torch.equal(kept.state[name], value) for name, value in state.items())


class Gadget:
    """Runs a command where a pickle of it is loaded without limits."""

    def __init__(self, file: Path) -> None:
        self.file = file

    def __reduce__(self) -> tuple[Any, ...]:
        return os.system, (f"touch {self.file}",)


def test_a_hostile_file_of_before_runs_nothing(run: Run, tmp_path: Path) -> None:
    """A model.pt with a pickle that would run a command is refused in one line."""
    result = run(**SMALL)
    old_run(result.directory, {"weight": Gadget(tmp_path / "ran")})
    with pytest.raises(lossreg.ConfigError, match=r"model\.pt cannot be read as weights") as caught:
        read_kept(result.directory)
    assert "\n" not in caught.value.message
    assert not (tmp_path / "ran").exists()


def test_a_file_that_is_no_state_is_refused(tmp_path: Path) -> None:
    """A .pt file of a tensor alone holds no names."""
    torch.save(torch.zeros(3), tmp_path / "one.pt")
    with pytest.raises(lossreg.ConfigError, match=r"one\.pt holds a Tensor, not a state_dict"):
        read_saved(tmp_path / "one.pt")


@pytest.mark.parametrize("name", ["model.safetensors", "model.pt"])
def test_damaged_weights_are_named(run: Run, name: str) -> None:
    """A file that is cut off is one line with its name."""
    result = run(**SMALL)
    file = result.directory / "model.safetensors"
    file.rename(result.directory / name)
    content = (result.directory / name).read_bytes()
    (result.directory / name).write_bytes(content[: len(content) // 2])
    with pytest.raises(lossreg.LossregError, match=name) as caught:
        read_kept(result.directory)
    assert "\n" not in caught.value.message


def test_a_pipe_is_not_waited_for(tmp_path: Path) -> None:
    """Weights in a pipe are refused at once."""
    os.mkfifo(tmp_path / "pipe.safetensors")
    with pytest.raises(lossreg.ConfigError, match="not a regular file"):
        read_saved(tmp_path / "pipe.safetensors")


@pytest.mark.parametrize(
    ("status", "said"),
    [
        ("running", "the run is lost: "),
        ("failed", "the run is failed: OSError: no space left"),
    ],
)
def test_a_run_without_weights_says_why(run: Run, status: str, said: str) -> None:
    """What became of the run is in the message."""
    result = run(**SMALL)
    (result.directory / "model.safetensors").unlink()
    record = json.loads((result.directory / "run.json").read_text())
    record |= {"status": status, "reason": "OSError: no space left" if status == "failed" else None}
    record["process"] |= {"pid": 2**22 - 3, "started": "1"}
    (result.directory / "run.json").write_text(json.dumps(record))
    with pytest.raises(lossreg.ConfigError) as caught:
        read_kept(result.directory)
    assert caught.value.message.startswith(f"{result.directory} has no weights: {said}")


def checkpoint(directory: Path, name: str, step: int, **facts: Any) -> dict[str, torch.Tensor]:
    """Writes a checkpoint with the state of an mlp of its own."""
    torch.manual_seed(step)
    state = lossreg.models.build("mlp", in_features=784, out_features=10).state_dict()
    CheckpointFolder(directory / "checkpoints").write(
        name, {"step": step, "epoch": step - 1, "weights": "raw", **facts}, {"model": state}, {}
    )
    return dict(state)


def test_checkpoints_by_word_and_by_name(run: Run) -> None:
    """`last` is the newest, `best` the one that says so, and each has its name; its facts say epoch and step."""
    directory = run(**SMALL).directory
    first, second = checkpoint(directory, "step-1", 1, best=True), checkpoint(directory, "step-2", 2)
    for word, state, step in (("last", second, 2), ("best", first, 1), ("step-1", first, 1)):
        kept = read_kept(directory, word).model
        assert torch.equal(kept.state["1.weight"], state["1.weight"])
        assert (kept.held, kept.epoch, kept.step) == ("raw", step - 1, step)
    assert torch.equal(read_source(directory / "checkpoints" / "step-1").state["1.weight"], first["1.weight"])


def test_a_damaged_checkpoint_is_not_used(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """By its name it is an error; `last` says so and takes the one before it."""
    directory = run(**SMALL).directory
    first = checkpoint(directory, "step-1", 1)
    checkpoint(directory, "step-2", 2)
    file = directory / "checkpoints" / "step-2" / "model.safetensors"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    with pytest.raises(lossreg.LossregError, match="step-2"):
        read_kept(directory, "step-2")
    assert torch.equal(read_kept(directory, "last").model.state["1.weight"], first["1.weight"])
    assert "step-2" in caplog.text


def test_a_checkpoint_that_does_not_exist(run: Run) -> None:
    """The message has the names that there are; without any it says that."""
    directory = run(**SMALL).directory
    with pytest.raises(lossreg.ConfigError, match="has no checkpoints"):
        read_kept(directory, "last")
    checkpoint(directory, "step-1", 1)
    with pytest.raises(lossreg.ConfigError, match="has no checkpoint 'best'; it has step-1, and the word last"):
        read_kept(directory, "best")


def test_a_link_to_weights_is_followed(run: Run, tmp_path: Path) -> None:
    """A file that a person names may be a link, as those in the cache of a hub are."""
    save_file({"a": torch.arange(3.0)}, tmp_path / "real.safetensors")
    (tmp_path / "link.safetensors").symlink_to(tmp_path / "real.safetensors")
    assert read_source(tmp_path / "link.safetensors").state["a"].tolist() == [0.0, 1.0, 2.0]
