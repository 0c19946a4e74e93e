"""Runs in deterministic algorithms alone: what is switched, that it is put back, and what has no such form."""

from __future__ import annotations

import json
import os
import subprocess
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg.training.hardware.deterministic import WORKSPACE, check_workspace, deterministic_algorithms

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run

USUAL: dict[str, Any] = {"model": "mlp", "epochs": 1, "limit_train": 64, "limit_test": 8}


def switches() -> tuple[bool, bool, bool, bool, str | None]:
    """What a deterministic run changes in a process."""
    cudnn = torch.backends.cudnn
    return (
        torch.are_deterministic_algorithms_enabled(),
        torch.is_deterministic_algorithms_warn_only_enabled(),
        cudnn.deterministic,
        cudnn.benchmark,
        os.environ.get(WORKSPACE),
    )


class Look:
    """An observer that notes the switches."""

    seen: tuple[bool, bool, bool, bool, str | None]

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Notes them."""
        self.seen = switches()


def record(directory: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


def test_a_run_is_deterministic_and_puts_back_what_was(run: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """All switches are on during the run, as they were after it, and run.json says so."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    torch.backends.cudnn.benchmark = True
    try:
        before, look = switches(), Look()
        result = run(**USUAL, deterministic=True, observers=[look])
        assert look.seen == (True, False, True, False, ":4096:8")
        assert switches()[:4] == before[:4]
        assert torch.cuda.is_initialized() or switches() == before
        assert (record(result.directory)["deterministic"], record(result.directory)["spec"]["deterministic"]) == (
            True,
            True,
        )
    finally:
        torch.backends.cudnn.benchmark = False


def test_a_run_that_does_not_ask_changes_nothing(run: Run) -> None:
    """The switches of the program hold in a run without the setting, and run.json says what they were."""
    look = Look()
    result = run(**USUAL, observers=[look])
    assert look.seen == switches()
    assert record(result.directory)["deterministic"] is False


def test_the_switches_are_put_back_after_an_error(run: Run) -> None:
    """Also where the run fails, and where it never begins."""
    before = switches()
    with pytest.raises(lossreg.RunFailedError):
        run(data="diabetes", loss="mse", optimizer="sgd(lr=1e12)", deterministic=True)
    with pytest.raises(lossreg.LossregError):
        lossreg.plan(loss="dise", deterministic=True)
    assert switches()[:4] == before[:4]


def test_it_changes_no_weight_on_a_cpu(run: Run) -> None:
    """A CPU is deterministic anyway: the weights are the same, bit for bit."""
    first, second = run(**USUAL), run(**USUAL, deterministic=True)
    states = first.model.state_dict(), second.model.state_dict()
    assert all(value.equal(states[1][name]) for name, value in states[0].items())


class Unpool(nn.Module):
    """A model with an operation that torch has no deterministic form of, on any device."""

    def __init__(self, *, later: bool = False) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)
        self.later = later
        self.calls = 0

    def forward(self, inputs: Tensor) -> Tensor:
        """Pools and unpools; if `later`, from the fourth step on."""
        self.calls += self.training and torch.is_grad_enabled()
        if not self.later or self.calls > 6:
            pooled, indices = nn.functional.max_pool2d(inputs, 2, return_indices=True)
            inputs = nn.functional.max_unpool2d(pooled, indices, [2, 2])
        output: Tensor = self.linear(inputs.flatten(1))
        return output


def test_an_operation_without_such_a_form_is_found_before_the_run(run: Run, tmp_path: Path) -> None:
    """It is named, by plan too, and no directory is left; without the setting the model is trained."""
    for call in (run, lossreg.plan):
        with pytest.raises(lossreg.ConfigError, match=r"deterministic \(--deterministic\): the operation max_unpool"):
            call(**{**USUAL, "model": Unpool()}, deterministic=True)
    assert list(tmp_path.iterdir()) == []
    assert run(**{**USUAL, "model": Unpool()}).reason is None


def test_an_operation_that_comes_later_ends_the_run(run: Run, tmp_path: Path) -> None:
    """It is named with the step, and the record is closed."""
    with pytest.raises(
        lossreg.RunFailedError, match=r"the operation max_unpool\w+ has no deterministic form"
    ) as caught:
        run(**{**USUAL, "epochs": 9, "model": Unpool(later=True)}, deterministic=True)
    assert caught.value.step > 0
    assert record(tmp_path / "run0")["status"] == "failed"


def test_cuda_that_has_started_without_the_workspace_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    """The error names the variable and its values; what is set right, and a CPU, are no error."""
    monkeypatch.delenv(WORKSPACE, raising=False)
    check_workspace(torch.device("cpu"))
    with pytest.raises(lossreg.ConfigError, match=r"CUBLAS_WORKSPACE_CONFIG=:4096:8 \(or :16:8\).*started.*without it"):
        check_workspace(torch.device("cuda:0"))
    monkeypatch.setenv(WORKSPACE, ":0:0")
    with pytest.raises(lossreg.ConfigError, match="it is ':0:0'"):
        check_workspace(torch.device("cuda:0"))
    monkeypatch.setenv(WORKSPACE, ":16:8")
    check_workspace(torch.device("cuda:0"))


def test_a_workspace_that_was_chosen_stays(monkeypatch: pytest.MonkeyPatch) -> None:
    """The caller's own value of the variable is used, and not changed."""
    monkeypatch.setenv(WORKSPACE, ":16:8")
    with deterministic_algorithms(wanted=True):
        assert os.environ[WORKSPACE] == ":16:8"
    assert os.environ[WORKSPACE] == ":16:8"


def test_the_command_line_has_it(lossreg_command: Command) -> None:
    """`--deterministic` and `--no-deterministic`."""
    small = ("--model", "mlp", "--limit-train", "64", "--limit-test", "8", "--epochs", "1", "--quiet")
    assert lossreg_command("run", *small, "--deterministic", "--out", "first").code == 0
    outcome = lossreg_command("plan", "-c", "first", "--no-deterministic", "--json")
    assert json.loads(outcome.out)["spec"]["deterministic"] is False


@pytest.mark.cuda
@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU with CUDA on this machine")
def test_a_gpu_gives_the_same_bits(warm_python: str, tmp_path: Path) -> None:
    """Two runs on a GPU have the same weights, loss and metrics (times apart), bit for bit."""
    script = (
        "import json, lossreg, torch\n"
        "states = []\n"
        "for name in ('first', 'second'):\n"
        "    result = lossreg.run(epochs=2, device='cuda', deterministic=True, out=name, quiet=True)\n"
        "    states.append(result.model.state_dict())\n"
        "assert all(value.equal(states[1][key]) for key, value in states[0].items())\n"
    )
    environment = {name: value for name, value in os.environ.items() if name != WORKSPACE}
    done = subprocess.run(
        [warm_python, "-c", script], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
