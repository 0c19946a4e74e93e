"""How averages and modes hold: states that go on, parameters that are trained later, signals in the middle."""

from __future__ import annotations

import io
import json
import signal
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import schedulefree
import torch
from safetensors.torch import load_file
from torch import Tensor, nn

from lossreg import ConfigError, Data, RunSpec
from lossreg.registry.registries import default
from lossreg.training.hardware.distributed import Processes
from lossreg.training.optim.modes import has_modes
from lossreg.training.parts import Parts
from lossreg.training.selection import Request
from lossreg.training.setup.assembly import set_up

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run, TrainEpochs

CHOICES = ("raw", "optimizer", "ema(0.9)", "swa(start=0)", "swa(start=2)")


def parts_of(data: Data, weights: str) -> Parts:
    """A run of three epochs of a model with batch normalisation, before its first step."""
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 8), nn.BatchNorm1d(8), nn.Linear(8, 3))
    optimizer = schedulefree.SGDScheduleFree if weights == "optimizer" else torch.optim.SGD
    objects = {"model": model, "data": data, "optimizer": lambda parameters: optimizer(parameters, lr=0.1)}
    spec = RunSpec(epochs=3, batch_size=16, weights=weights, precision="32", device="cpu")
    return set_up(Request(spec, objects, default), Processes(), quiet=True)


def stored(state: dict[str, Any]) -> dict[str, Any]:
    """A state as a file gives it back."""
    file = io.BytesIO()
    torch.save(state, file)
    file.seek(0)
    loaded: dict[str, Any] = torch.load(file, weights_only=True)
    return loaded


@pytest.mark.parametrize("weights", CHOICES)
@pytest.mark.parametrize("done", [1, 2])
def test_a_state_goes_on_as_if_nothing_had_been(
    table: Callable[..., Data], train_epochs: TrainEpochs, weights: str, done: int
) -> None:
    """Three epochs are, bit for bit, some epochs and the rest from states that were written and read."""
    whole, first, second = (parts_of(table(), weights) for _ in range(3))
    train_epochs(whole, range(3))
    train_epochs(first, range(done))
    second.objective.load_state_dict(stored(first.objective.state_dict()))
    second.optimization.optimizer.load_state_dict(stored(first.optimization.optimizer.state_dict()))
    second.weights.load_state_dict(stored(first.weights.state_dict()))
    assert second.weights.held == first.weights.held
    train_epochs(second, range(done, 3))
    assert second.weights.held == whole.weights.held
    for name, value in whole.objective.state_dict().items():
        assert torch.equal(second.objective.state_dict()[name], value), name


def test_a_state_of_other_weights_is_refused(table: Callable[..., Data]) -> None:
    """The message names both."""
    state = parts_of(table(), "ema(0.9)").weights.state_dict()
    with pytest.raises(ConfigError, match=r"^the state is that of weights ema\(0\.9\), and the run's are raw$"):
        parts_of(table(), "raw").weights.load_state_dict(state)


@pytest.mark.parametrize(
    ("weights", "share"),
    [("ema(0.5)", 1 - 0.5**4), ("swa(start=0)", 1 / 2)],  # four steps of a second epoch; one end of two
)
def test_a_parameter_that_is_trained_later_had_its_value_before(
    table: Callable[..., Data], train_epochs: TrainEpochs, weights: str, share: float
) -> None:
    """Its average counts the steps and epochs before with the value that it had in them.

    It is moved by hand to 1 before the second epoch's steps, of which none changes it further: its gradient is 0.
    """
    parts = parts_of(table(), weights)
    bias = parts.objective.model.get_parameter("0.bias")  # what normalisation takes away again
    with torch.no_grad():
        bias.zero_()
    bias.requires_grad_(False)
    train_epochs(parts, range(1))
    bias.requires_grad_()
    parts.weights.begin_epoch()
    with torch.no_grad():
        bias.fill_(1)
    train_epochs(parts, range(1, 2))
    torch.testing.assert_close(bias.detach(), torch.full((8,), share), rtol=0, atol=1e-4)


class _Interrupted(schedulefree.SGDScheduleFree):  # type: ignore[misc]  # the package is not annotated
    """Gets a signal in the middle of its second switch to evaluation."""

    switches = 0
    param_groups: list[dict[str, Any]]

    def eval(self) -> None:
        """Switches one group, and then the others."""
        self.switches += 1
        groups = self.param_groups
        self.param_groups = groups[:1]
        super().eval()
        if self.switches == 2:
            signal.raise_signal(signal.SIGINT)
        self.param_groups = groups
        super().eval()


def _groups(model: nn.Module) -> list[dict[str, Any]]:
    return [{"params": [parameter]} for parameter in model.parameters()]


def test_a_signal_waits_until_an_optimizer_has_switched(run: Run, tmp_path: Path) -> None:
    """The saved weights are all those of evaluation, as of a run that ended there."""

    def linear() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 10))

    usual: dict[str, Any] = {"loss": "cross_entropy", "limit_train": 256}
    model = linear()
    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        run(model=model, optimizer=_Interrupted(_groups(model), lr=1.0), epochs=3, out=out, **usual)
    other = linear()
    run(model=other, optimizer=schedulefree.SGDScheduleFree(_groups(other), lr=1.0), epochs=2, **usual)
    assert json.loads((out / "run.json").read_text())["files"] == {"model.safetensors": {"weights": "optimizer"}}
    for name, value in load_file(out / "model.safetensors").items():
        assert torch.equal(value, other.state_dict()[name])


@pytest.mark.parametrize("every", [None, 1])
def test_an_interrupted_evaluation_keeps_the_average(run: Run, tmp_path: Path, every: int | None) -> None:
    """A signal while statistics are made for the second time leaves the average.

    With the statistics before where the signal ends the run at once, and with the new ones where it waits for them, as
    it does in a run with checkpoints.
    """

    class Interrupting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            torch.manual_seed(0)
            self.linear, self.norm = nn.Linear(784, 8), nn.BatchNorm1d(8)
            self.last = nn.Linear(8, 10)
            self.passes = 0

        def forward(self, images: Tensor) -> Tensor:
            if self.training and not torch.is_grad_enabled():
                self.passes += 1
                if self.passes == 6:  # four batches in each pass
                    signal.raise_signal(signal.SIGINT)
            return self.last(self.norm(self.linear(images.flatten(1))))  # type: ignore[no-any-return]  # of nn.Module

    model = Interrupting()
    out = tmp_path / "interrupted"
    with pytest.raises(KeyboardInterrupt):
        run(
            model=model, loss="cross_entropy", epochs=3, limit_train=256, weights="ema(0.9)", out=out,
            checkpoint_every=every,
        )  # fmt: skip
    whole = Interrupting()
    whole.passes = 100
    run(model=whole, loss="cross_entropy", epochs=2, limit_train=256, weights="ema(0.9)")
    first = Interrupting()
    first.passes = 100
    run(model=first, loss="cross_entropy", epochs=1, limit_train=256, weights="ema(0.9)")
    kept = load_file(out / "model.safetensors")
    for name, value in whole.state_dict().items():
        made_anew = every is None and name.startswith("norm.running")
        expected = first.state_dict()[name] if made_anew else value
        assert torch.equal(kept[name], expected), name


def test_modes_are_two_methods() -> None:
    """Optimizers of torch have none, and one that has only one of them cannot be switched."""
    parameter = nn.Parameter(torch.zeros(1))
    assert not has_modes(torch.optim.SGD([parameter], lr=0.1))
    assert has_modes(schedulefree.SGDScheduleFree([parameter]))

    class Half(torch.optim.SGD):
        def train(self) -> None:
            """Has no counterpart."""

    assert not has_modes(Half([parameter], lr=0.1))


def test_the_command_says_which_weights_its_metrics_are_of(lossreg_command: Command) -> None:
    """`run` prints the name of the weights before the metrics of evaluation, and progress shows it for each epoch."""
    line = ("run", "--model", "mlp", "--epochs", "2", "--limit-train", "64", "--device", "cpu")
    outcome = lossreg_command(*line, "--weights", "swa(1)")
    assert outcome.code == 0
    assert "\nweights                  swa(start=1)\ntest_loss " in outcome.out
    assert "  weights raw  test_loss" in outcome.err
    assert "  weights swa(start=1)  test_loss" in outcome.err
    plain = lossreg_command(*line)
    assert "weights" not in plain.out
    assert "weights" not in plain.err


def test_wrong_weights_end_the_command_with_code_2(lossreg_command: Command) -> None:
    """One line, and nothing is written."""
    outcome = lossreg_command("run", "--weights", "ema(2)")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.splitlines()[-1].endswith("weights: the decay of ema is a number above 0 and below 1, not '2'")
    assert not list(Path.cwd().iterdir())
