"""Which weights a run evaluates, saves and returns: against hand loops with torch's own averages."""

from __future__ import annotations

import copy
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import schedulefree
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn, update_bn

import lossreg
from lossreg import ConfigError, Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Weights

Samples = tuple[Tensor, Tensor]
AVERAGES = ("ema(0.9)", "swa(start=0.5)")


def linear(width: int = 784) -> nn.Module:
    """A small model of the digits."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(width, 10))


def normed() -> nn.Module:
    """One with batch normalisation."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.BatchNorm1d(12), nn.ReLU(), nn.Linear(12, 10))


def accuracy(model: nn.Module, samples: Samples) -> float:
    """The share of right answers."""
    model.eval()
    with torch.no_grad():
        right = torch.eq(model(samples[0]).argmax(1), samples[1])
    return right.double().mean().item()


def schedule_free(parameters: Any) -> torch.optim.Optimizer:
    """Schedule-free SGD as its authors offer it."""
    optimizer: torch.optim.Optimizer = schedulefree.SGDScheduleFree(parameters, lr=1.0)
    return optimizer


def by_hand(
    model: nn.Module,
    optimizer: Any,
    samples: Any,
    epochs: int,
    after_step: Callable[[], object] = lambda: None,
) -> Iterator[int]:
    """Trains as a run does, and gives each epoch when its steps are done."""
    inputs, targets = samples
    for epoch in range(epochs):
        if isinstance(optimizer, schedulefree.SGDScheduleFree):
            optimizer.train()
        model.train()
        order = torch.from_numpy(np.random.default_rng([0, epoch]).permutation(len(inputs)))
        for indices in order.split(64):
            optimizer.zero_grad()
            nn.functional.cross_entropy(model(inputs[indices]), targets[indices]).backward()
            optimizer.step()
            after_step()
        yield epoch


def sgd(model: nn.Module) -> torch.optim.Optimizer:
    """As a run builds `sgd(lr=0.1)`."""
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9, fused=True)


def record(folder: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def saved(folder: Path, name: str = "model.safetensors") -> dict[str, Tensor]:
    """What a run has saved."""
    state: dict[str, Tensor] = load_file(folder / name)
    return state


# An optimizer with modes


@pytest.mark.parametrize("weights", ["auto", "optimizer"])
def test_a_schedule_free_optimizer_is_evaluated_as_by_hand(
    run: Run, digits: Samples, digits_test: Samples, weights: str
) -> None:
    """Each epoch's accuracy is that of a loop that calls train() before the epoch and eval() after it."""
    result = run(model=linear(), loss="cross_entropy", optimizer=schedule_free, epochs=3, weights=weights)
    model = linear()
    optimizer: Any = schedule_free(model.parameters())
    found = []
    for _ in by_hand(model, optimizer, digits, epochs=3):
        optimizer.eval()
        found.append(accuracy(model, digits_test))
    assert [row["test_accuracy"] for row in result.metrics] == pytest.approx(found, abs=1e-12)
    assert [row["weights"] for row in result.metrics] == ["optimizer"] * 3
    for name, value in model.state_dict().items():
        torch.testing.assert_close(saved(result.directory)[name], value, rtol=1e-6, atol=1e-7)
        assert torch.equal(result.model.state_dict()[name], saved(result.directory)[name])


def test_raw_weights_of_a_schedule_free_optimizer_are_those_it_trains_with(run: Run, digits: Samples) -> None:
    """`raw` leaves such an optimizer in training; the record says so."""
    result = run(model=linear(), loss="cross_entropy", optimizer=schedule_free, epochs=1, weights="raw")
    model = linear()
    list(by_hand(model, schedule_free(model.parameters()), digits, epochs=1))
    for name, value in model.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[name], value, rtol=1e-6, atol=1e-7)
    content = record(result.directory)
    assert content["weights"] == {
        "used": "raw",
        "reason": "requested: those that the optimizer trains with, not those it has for evaluation",
    }
    assert content["files"] == {"model.safetensors": {"weights": "raw"}}


def test_a_schedule_free_optimizer_works_by_name(run: Run) -> None:
    """Its trial steps before the run are in training mode, without which it refuses to step."""
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("sf", "schedulefree:SGDScheduleFree", defaults={"lr": 1.0})
    result = run(model=linear(), loss="cross_entropy", optimizer="sf", registries=registries, epochs=1, limit_train=128)
    assert record(result.directory)["files"] == {"model.safetensors": {"weights": "optimizer"}}


def test_weights_of_an_optimizer_without_modes_are_refused(run_table: Run) -> None:
    """One line that names the optimizer and the way out."""
    with pytest.raises(ConfigError) as caught:
        run_table(weights="optimizer", optimizer="sgd")
    assert str(caught.value) == (
        "weights (--weights) is optimizer, but the optimizer sgd has no weights of its own for evaluation (it has no "
        "train() and eval()); leave the setting out, or write ema(0.999)"
    )


# Averages


def test_ema_is_its_formula(run: Run, float64: Data) -> None:
    """The average starts with the weights after the first step; each later step leaves its share 1 - decay."""
    result = run(
        model=linear(), data=float64, loss="cross_entropy", optimizer="sgd(lr=0.1)", epochs=2, weights="ema(0.9)"
    )
    model = linear()
    history: list[Tensor] = []

    def remember() -> None:
        history.append(nn.utils.parameters_to_vector(model.parameters()).detach().clone())

    list(by_hand(model, sgd(model), float64.train, 2, remember))
    shares = [0.9 ** (len(history) - 1), *(0.1 * 0.9 ** (len(history) - 1 - k) for k in range(1, len(history)))]
    expected = sum(share * weights for share, weights in zip(shares, history, strict=True))
    got = nn.utils.parameters_to_vector(result.model.parameters())
    torch.testing.assert_close(got, expected, rtol=0, atol=1e-12)


def test_swa_is_that_of_torch(run: Run, float64: Data) -> None:
    """AveragedModel in a hand loop, updated at the ends of the last two of four epochs."""
    result = run(
        model=linear(), data=float64, loss="cross_entropy", optimizer="sgd(lr=0.1)", epochs=4, weights="swa(start=0.5)"
    )
    model = linear()
    averaged = AveragedModel(model)
    for epoch in by_hand(model, sgd(model), float64.train, epochs=4):
        if epoch >= 2:
            averaged.update_parameters(model)
    torch.testing.assert_close(
        nn.utils.parameters_to_vector(result.model.parameters()),
        nn.utils.parameters_to_vector(averaged.parameters()),
        rtol=0,
        atol=1e-12,
    )
    assert [row["weights"] for row in result.metrics] == ["raw", "raw", "swa(start=0.5)", "swa(start=0.5)"]


@pytest.mark.parametrize("weights", AVERAGES)
def test_training_does_not_notice_an_average(run: Run, weights: str) -> None:
    """Training losses are those of raw weights, bit for bit, also with dropout and batch normalisation."""

    def model() -> nn.Module:
        torch.manual_seed(0)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 12), nn.BatchNorm1d(12), nn.Dropout(0.2), nn.Linear(12, 10))

    losses = []
    for chosen in ("raw", weights):
        torch.manual_seed(1)
        result = run(model=model(), loss="cross_entropy", optimizer="sgd", epochs=4, limit_train=256, weights=chosen)
        losses.append([row["train_loss"] for row in result.metrics])
    assert losses[0] == losses[1]


def test_before_the_start_raw_weights_are_evaluated(run: Run) -> None:
    """The rows before it are those of a run with raw weights."""
    averaged, raw = (
        run(model=linear(), loss="cross_entropy", epochs=2, limit_train=256, weights=weights)
        for weights in ("swa(start=1)", "raw")
    )
    assert averaged.metrics[0]["test_loss"] == raw.metrics[0]["test_loss"]
    # One end alone is its own mean.
    assert averaged.metrics[1]["test_loss"] == pytest.approx(raw.metrics[1]["test_loss"], rel=1e-6)


class Tempered(nn.Module):
    """Cross-entropy at a temperature that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return nn.functional.cross_entropy(output / self.temperature, target)


def test_parameters_of_a_loss_are_averaged(run: Run) -> None:
    """loss.safetensors holds the average too, and run.json says so: another temperature than that of training."""
    loss, of_training = Tempered(), Tempered()
    result = run(model=linear(), loss=loss, optimizer="sgd(lr=0.1)", epochs=2, limit_train=256, weights="ema(0.9)")
    run(model=linear(), loss=of_training, optimizer="sgd(lr=0.1)", epochs=2, limit_train=256)
    assert record(result.directory)["files"] == {
        "model.safetensors": {"weights": "ema(0.9)"},
        "loss.safetensors": {"weights": "ema(0.9)"},
    }
    assert torch.equal(saved(result.directory, "loss.safetensors")["temperature"], loss.temperature)
    assert loss.temperature.item() != of_training.temperature.item()


def test_averages_of_16_bit_weights_are_kept_in_float32(run_table: Run) -> None:
    """An average in bfloat16 would not move at all: a hundredth of each of these differences is lost in its 8 bits.

    The gradient of the mean sum of the outputs is 1 for a bias, so that it is 1 - k / 256 after k steps, exactly.
    """
    steps = 40

    def loss(output: Tensor, target: Tensor) -> Tensor:
        del target
        return output.float().sum(1).mean()

    model = nn.Linear(4, 3).bfloat16()
    with torch.no_grad():
        model.bias.fill_(1)
    rows = torch.ones(8, 4, dtype=torch.bfloat16)
    data = Data((rows, torch.zeros(8, 3)), (rows, torch.zeros(8, 3)), "regression", (4,), out_features=3)
    run_table(
        data=data, model=model, loss=loss, optimizer="sgd(lr=0.00390625, momentum=0)", batch_size=8, epochs=steps,
        weights="ema(0.99)",
    )  # fmt: skip
    expected = 1 - 1 / 256
    for k in range(2, steps + 1):
        expected = 0.99 * expected + 0.01 * (1 - k / 256)
    assert expected < 1 - 6 / 256
    assert model.bias.tolist() == pytest.approx([expected] * 3, abs=2**-9)  # the average as bfloat16 rounds it


# Batch normalisation


@pytest.mark.parametrize("weights", ["ema(0.9)", "swa(start=0.5)"])
def test_statistics_of_an_average_are_those_of_update_bn(run: Run, float64: Data, weights: str) -> None:
    """Weights by torch's AveragedModel in a hand loop, statistics by its update_bn over the training split."""
    result = run(model=normed(), data=float64, loss="cross_entropy", optimizer="sgd(lr=0.1)", epochs=2, weights=weights)
    model = normed()
    ema = weights.startswith("ema")
    averaged = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.9)) if ema else AveragedModel(model)

    def update() -> None:
        averaged.update_parameters(model)

    for epoch in by_hand(model, sgd(model), float64.train, 2, update if ema else lambda: None):
        if not ema and epoch >= 1:
            update()
    assert isinstance(float64.train, tuple)
    assert isinstance(float64.test, tuple)
    update_bn(float64.train[0].split(64), averaged)
    expected = averaged.module.state_dict()
    assert result.model.get_submodule("2").momentum == 0.1
    for name, value in result.model.state_dict().items():
        torch.testing.assert_close(value, expected[name], rtol=0, atol=1e-11)
    assert result.final["test_accuracy"] == pytest.approx(accuracy(averaged, float64.test), abs=1e-12)


def test_statistics_of_a_schedule_free_optimizer_are_made_anew(run: Run, digits: Samples) -> None:
    """update_bn on what the run returned changes nothing beyond rounding."""
    result = run(model=normed(), loss="cross_entropy", optimizer=schedule_free, epochs=2)
    again = copy.deepcopy(result.model)
    update_bn(digits[0].split(64), again)
    for name, value in again.state_dict().items():
        torch.testing.assert_close(result.model.state_dict()[name], value, rtol=1e-5, atol=1e-6)


def test_statistics_that_are_frozen_stay(run: Run) -> None:
    """A layer that was given in evaluation mode keeps its statistics, with any weights."""
    model = normed()
    model.get_submodule("2").eval()
    before = copy.deepcopy(model.get_submodule("2").state_dict())
    run(model=model, loss="cross_entropy", epochs=2, limit_train=256, weights="ema(0.9)")
    after = model.state_dict()
    assert all(torch.equal(after[f"2.{name}"], before[name]) for name in ("running_mean", "running_var"))


def test_buffers_that_are_no_statistics_are_those_of_training(run_table: Run) -> None:
    """A pass that makes statistics leaves what else a model counts as training had it."""

    class Counting(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear, self.norm = nn.Linear(4, 3), nn.BatchNorm1d(3)
            self.passes: Tensor
            self.register_buffer("passes", torch.zeros((), dtype=torch.int64))

        def forward(self, rows: Tensor) -> Tensor:
            if self.training:
                self.passes += 1
            return self.norm(self.linear(rows))  # type: ignore[no-any-return]  # nn.Module's call is not annotated

    counted = []
    for weights in ("raw", "ema(0.5)"):
        model = Counting()
        run_table(model=model, epochs=3, batch_size=16, weights=weights, out=None)
        counted.append(model.passes.item())
    assert counted[0] == counted[1]


# What looks at them, and what is kept


@pytest.mark.parametrize("weights", ["raw", *AVERAGES])
def test_observers_see_the_weights_that_a_row_is_about(run: Run, digits_test: Samples, weights: str) -> None:
    """The model in `lossreg_epoch_finished` has the accuracy of the row."""

    class Observer:
        def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            assert accuracy(run.model, digits_test) == pytest.approx(record["test_accuracy"], abs=1e-12)

    run(model=linear(), loss="cross_entropy", epochs=2, limit_train=256, weights=weights, observers=[Observer()])


class _Failing:
    """Fails in a step of the second epoch, or raises what a signal would."""

    def __init__(self, error: BaseException) -> None:
        self.error = error
        self.step = 0

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Counts steps."""
        self.step = record["step"]
        if record["epoch"] == 1:
            raise self.error


@pytest.mark.parametrize("error", [RuntimeError("boom"), KeyboardInterrupt()])
@pytest.mark.parametrize("make", [linear, normed])
def test_a_run_that_fails_saves_the_chosen_weights(
    run: Run, tmp_path: Path, error: BaseException, make: Callable[[], nn.Module]
) -> None:
    """The average over the steps so far, as in a run that was stopped there; run.json says what the file holds."""
    out = tmp_path / "failed"
    arguments: dict[str, Any] = {
        "loss": "cross_entropy", "epochs": 3, "limit_train": 256, "weights": "ema(0.9)", "log_every": 2,
    }  # fmt: skip
    with pytest.raises(type(error)):
        run(model=make(), **arguments, observers=[_Failing(error)], out=out)

    class Stopping:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            if record["epoch"] == 1:
                run.request_stop("there")

    stopped = run(model=make(), **arguments, observers=[Stopping()])
    assert record(out)["files"] == {"model.safetensors": {"weights": "ema(0.9)"}}
    assert record(out)["steps_done"] == record(stopped.directory)["steps_done"]
    for name, value in stopped.model.named_parameters():
        assert torch.equal(saved(out)[name], value)


def test_a_run_that_fails_before_its_first_evaluation_saves_raw_weights_with_their_statistics(
    run: Run, tmp_path: Path
) -> None:
    """An average without statistics of its own would be of no use; run.json says raw."""
    out = tmp_path / "failed"

    class Failing:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            raise RuntimeError("boom")

    model = normed()
    with pytest.raises(RuntimeError, match="boom"):
        run(model=model, loss="cross_entropy", weights="ema(0.9)", log_every=2, observers=[Failing()], out=out)
    assert record(out)["files"] == {"model.safetensors": {"weights": "raw"}}
    assert saved(out)["2.num_batches_tracked"] == 2


def test_a_schedule_free_run_that_fails_saves_the_optimizers_weights(run: Run, tmp_path: Path) -> None:
    """eval() is called before the file is written: the weights are those of a run that was stopped there."""
    out = tmp_path / "failed"
    arguments: dict[str, Any] = {
        "loss": "cross_entropy", "optimizer": schedule_free, "epochs": 3, "limit_train": 256, "log_every": 2,
    }  # fmt: skip
    with pytest.raises(KeyboardInterrupt):
        run(model=linear(), **arguments, observers=[_Failing(KeyboardInterrupt())], out=out)

    class Stopping:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            if record["epoch"] == 1:
                run.request_stop("there")

    stopped = run(model=linear(), **arguments, observers=[Stopping()])
    assert record(out)["files"] == {"model.safetensors": {"weights": "optimizer"}}
    for name, value in stopped.model.named_parameters():
        assert torch.equal(saved(out)[name], value)


def test_a_run_that_repeats_the_record_has_the_same_weights(run: Run, weights: Weights) -> None:
    """The setting is in the spec of run.json in its canonical text."""
    first = run(model="mlp", loss="cross_entropy", epochs=2, limit_train=256, weights="ema( .5 )")
    spec = record(first.directory)["spec"]
    assert spec["weights"] == "ema(0.5)"
    second = run(**{**spec, "precision": "32", "device": "cpu"})
    assert torch.equal(weights(first.model), weights(second.model))


# plan


def test_plan_shows_the_weights() -> None:
    """The text and the facts of a plan say which weights will be evaluated, and why."""
    plan = lossreg.plan(model="mlp", weights="swa", epochs=8)
    assert plan.facts["weights"] == {
        "used": "swa(start=0.75)",
        "reason": "requested: the mean over the ends of epochs 6 to 7",
    }
    assert "\nevaluated weights   swa(start=0.75) (requested: the mean over the ends of epochs 6 to 7)\n" in str(plan)


def test_plan_shows_that_nothing_is_averaged() -> None:
    """Without the setting they are those of training, unless the optimizer has others."""
    assert lossreg.plan(model="mlp").facts["weights"] == {"used": "raw", "reason": "the optimizer has no others"}
    with_modes = lossreg.plan(model=linear(), optimizer=schedule_free)
    assert with_modes.facts["weights"] == {
        "used": "optimizer",
        "reason": "the optimizer has weights of its own for evaluation",
    }


def test_a_decay_that_is_too_long_for_the_run_is_a_warning(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """0.999 to the power of 45 is 0.956: the average would be what the first step left."""
    with caplog.at_level(logging.WARNING, "lossreg"):
        run(model="mlp", epochs=2, weights="ema")
    assert [entry.message for entry in caplog.records] == [
        "ema(0.999) averages over more steps than the run has: the weights after the first of 46 still have a share of "
        "96% at the end; a smaller decay forgets them"
    ]
    assert lossreg.plan(model="mlp", epochs=2, weights="ema(0.9)").warnings == []
