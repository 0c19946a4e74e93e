"""`lossreg.run`: what it computes and what it keeps."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data, RunResult


def weights(model: nn.Module) -> dict[str, Tensor]:
    """A copy of the weights."""
    return {name: value.clone() for name, value in model.state_dict().items()}


def assert_same(first: dict[str, Tensor], second: dict[str, Tensor]) -> None:
    """Bit for bit."""
    assert first.keys() == second.keys()
    assert all(torch.equal(first[name], second[name]) for name in first)


def tutorial_model() -> nn.Module:
    """The tutorial's network, written by hand."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
    )  # fmt: skip


def dice(logits: Tensor, target: Tensor) -> Tensor:
    """The batch Dice loss, written by hand in the order of its formula."""
    p, t = logits.softmax(1).T, functional.one_hot(target, 10).T.float()
    return (1 - (2 * (p * t).sum(1) + 1e-5) / (p.sum(1) + t.sum(1) + 1e-5)).mean()


def one_hot_mse(logits: Tensor, target: Tensor) -> Tensor:
    """Mean squared error against one-hot targets, written by hand."""
    return functional.mse_loss(logits, functional.one_hot(target, 10).float())


@pytest.mark.parametrize(
    ("loss", "by_hand"), [("cross_entropy", functional.cross_entropy), ("dice", dice), ("mse", one_hot_mse)]
)
@pytest.mark.parametrize(
    ("optimizer", "make"),
    [
        ("sgd", lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9)),
        ("adam(lr=3e-4)", lambda parameters: torch.optim.Adam(parameters, lr=3e-4, fused=True)),
        ("adam(lr=3e-4, fused=False)", lambda parameters: torch.optim.Adam(parameters, lr=3e-4)),
    ],
)
def test_a_run_is_the_plain_loop_bit_for_bit(
    run: Callable[..., RunResult], loss: str, by_hand: Any, optimizer: str, make: Any
) -> None:
    """A plain PyTorch loop with the same seed and order ends with the same bits, schedule and ragged batch included."""
    result = run(
        loss=loss, optimizer=optimizer, scheduler="lambda_lr(lr_lambda='1 / (1 + epoch)')", epochs=3, seed=7,
        limit_train=200, limit_test=50,
    )  # fmt: skip
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    images, targets = data.train[0][:200], data.train[1][:200]
    torch.manual_seed(7)
    model = tutorial_model().to(memory_format=torch.channels_last)  # the layout of the run, for convolutions
    plain = make(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(plain, lambda epoch: 1 / (1 + epoch))
    for epoch in range(3):
        order = torch.from_numpy(np.random.default_rng([7, epoch]).permutation(200))
        for indices in order.split(64):
            plain.zero_grad()
            by_hand(model(images[indices]), targets[indices]).backward()
            plain.step()
        schedule.step()
    assert_same(weights(model), weights(result.model))


def test_the_same_seed_gives_the_same_weights(run: Callable[..., RunResult]) -> None:
    """Two runs with one seed agree bit for bit, and another seed gives other weights."""
    first, again, other = (run(loss="dice", epochs=2, limit_train=128, seed=seed) for seed in (3, 3, 4))
    assert_same(weights(first.model), weights(again.model))
    assert not torch.equal(next(first.model.parameters()), next(other.model.parameters()))


def test_the_checks_before_a_run_change_nothing(run: Callable[..., RunResult]) -> None:
    """Dropout and batch normalisation end as in a plain loop: the probe batch leaves no trace."""

    def make() -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 10))

    torch.manual_seed(11)
    ours = make()
    result = run(model=ours, optimizer="sgd", epochs=1, limit_train=128, seed=5)
    torch.manual_seed(11)
    model = make()
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    model.train()
    for indices in torch.from_numpy(np.random.default_rng([5, 0]).permutation(128)).split(64):
        optimizer.zero_grad()
        functional.cross_entropy(model(data.train[0][indices]), data.train[1][indices]).backward()
        optimizer.step()
    assert_same(weights(model), weights(result.model))


@pytest.mark.parametrize("scheduler", [None, "lambda_lr(lr_lambda='epoch // 2')"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["l1", "mse", "cross_entropy", "dice"])
def test_every_combination_runs_on_digits(
    run: Callable[..., RunResult], loss: str, optimizer: str, scheduler: str | None
) -> None:
    """Each loss, optimizer and schedule trains the CNN on digits."""
    result = run(loss=loss, optimizer=optimizer, scheduler=scheduler, epochs=3, limit_train=192, limit_test=64)
    assert result.final["epoch"] == 2
    assert 0 <= result.final["test_accuracy"] <= 1


@pytest.mark.parametrize(("loss", "bound"), [("l1", 0.75), ("mse", 0.75)])
def test_regression_losses_learn_diabetes(run: Callable[..., RunResult], loss: str, bound: float) -> None:
    """L1 and MSE predict diabetes better than the mean of the training split does."""
    data = lossreg.datasets.build("diabetes")
    assert isinstance(data.test, tuple)
    baseline = data.test[1].abs().mean().item()  # the mean of the standardised training targets is 0
    final = run(data="diabetes", loss=loss, epochs=20).final
    assert final["test_mean_absolute_error"] < bound < baseline


def test_dice_and_sgd_learn_digits(run: Callable[..., RunResult]) -> None:
    """The main job reaches at least 0.88 on the test split with seed 0."""
    assert run(loss="dice", optimizer="sgd").final["test_accuracy"] >= 0.88


def test_a_rate_of_zero_leaves_the_weights_alone_and_is_warned_of(
    run: Callable[..., RunResult], caplog: pytest.LogCaptureFixture
) -> None:
    """Two epochs of `epoch // 2` have rate 0: the weights stay, and a warning said so."""
    torch.manual_seed(0)
    model = tutorial_model()
    before = weights(model)
    result = run(model=model, scheduler="lambda_lr(lr_lambda='epoch // 2')", epochs=2, limit_train=128)
    assert_same(before, weights(result.model))
    assert "the learning rate is 0 in every epoch" in caplog.text


def test_the_rates_of_the_tutorial(run: Callable[..., RunResult]) -> None:
    """`epoch // 2` over 20 epochs at 0.01 gives 0, 0, 0.01, 0.01, ... 0.09, 0.09, in every record."""
    result = run(scheduler="lambda_lr(lr_lambda='epoch // 2')", epochs=20, limit_train=64, limit_test=8)
    assert [row["lr"] for row in result.metrics] == pytest.approx([0.01 * (epoch // 2) for epoch in range(20)])


def test_a_schedule_that_counts_steps(run: Callable[..., RunResult]) -> None:
    """With the interval `step` the rate changes after every step, and counts from 0."""
    result = run(
        scheduler="lambda_lr(lr_lambda='step')", scheduler_interval="step", epochs=2, limit_train=160, batch_size=64,
        log_every=1,
    )  # fmt: skip
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr"] for row in rows if row["kind"] == "step"]
    assert rates == pytest.approx([0.01 * step for step in range(6)])


def test_the_run_directory(run: Callable[..., RunResult]) -> None:
    """A run leaves run.json, metrics.jsonl and model.pt, which torch reads with weights_only."""
    result = run(loss="dice", epochs=2, limit_train=128, limit_test=32, log_every=2)
    assert sorted(path.name for path in result.directory.iterdir()) == ["metrics.jsonl", "model.pt", "run.json"]
    assert_same(torch.load(result.directory / "model.pt", weights_only=True), weights(result.model))
    record = json.loads((result.directory / "run.json").read_text())
    assert record["format"] == 2
    assert record["status"] == "finished"
    assert record["spec"]["loss"] == "builtin.dice"
    assert record["components"]["loss"]["params"] == {"smooth": 1e-5, "reduction": "mean"}
    assert record["components"]["loss"]["distribution"] == "lossreg"
    assert record["metrics"] == result.final
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    assert [(row["kind"], row["epoch"], row["step"]) for row in rows] == [
        ("step", 0, 2), ("epoch", 0, 2), ("step", 1, 4), ("epoch", 1, 4),
    ]  # fmt: skip
    assert [row for row in rows if row["kind"] == "epoch"] == result.metrics


def test_metrics_are_those_of_the_model(run: Callable[..., RunResult]) -> None:
    """Test loss and accuracy, and the training accuracy, are those of the final weights on the splits."""
    result = run(epochs=1, limit_train=100, limit_test=90, eval_train=True)
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    with torch.no_grad():
        test = result.model(data.test[0][:90])
        train = result.model(data.train[0][:100])
    final = result.final
    assert final["test_accuracy"] == pytest.approx((test.argmax(1) == data.test[1][:90]).double().mean().item())
    assert final["test_loss"] == pytest.approx(functional.cross_entropy(test, data.test[1][:90]).item(), rel=1e-5)
    assert final["train_accuracy"] == pytest.approx((train.argmax(1) == data.train[1][:100]).double().mean().item())


def test_train_loss_is_the_mean_over_the_samples_of_the_epoch(run: Callable[..., RunResult]) -> None:
    """With rate 0, train_loss is the loss of the untouched weights over the training split, ragged batch included."""
    torch.manual_seed(0)
    model = tutorial_model()
    result = run(model=model, optimizer="sgd(lr=0.0)", epochs=1, limit_train=100, limit_test=8)
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    with torch.no_grad():
        expected = functional.cross_entropy(model(data.train[0][:100]), data.train[1][:100]).item()
    assert result.final["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_batch_larger_than_the_data_is_one_batch(run: Callable[..., RunResult]) -> None:
    """A batch size beyond the split gives one step an epoch."""
    assert run(epochs=2, limit_train=50, batch_size=1000).final["step"] == 2


def test_objects_serve_as_parts(run: Callable[..., RunResult]) -> None:
    """Model, data, loss, optimizer and scheduler may be objects or functions; the record says it cannot be repeated."""
    inputs, targets = torch.rand(96, 3), torch.rand(96, 2)
    data = Data((inputs, targets), (inputs, targets), task="regression", in_shape=(3,), out_features=2)
    result = run(
        data=data,
        model=nn.Linear(3, 2),
        loss=nn.HuberLoss(),
        optimizer=lambda parameters: torch.optim.RMSprop(parameters, lr=0.01),
        scheduler=lambda optimizer: torch.optim.lr_scheduler.StepLR(optimizer, 1),
        epochs=2,
    )
    assert [row["lr"] for row in result.metrics] == pytest.approx([0.01, 0.001])
    assert not result.repeatable
    record = json.loads((result.directory / "run.json").read_text())
    assert record["repeatable"] is False
    assert record["objects"]["model"] == "torch.nn.modules.linear.Linear"
    assert record["spec"]["model"] is None


def test_an_optimizer_object_is_used_as_it_is(run: Callable[..., RunResult]) -> None:
    """An optimizer instance keeps its parameters and its rate."""
    linear = nn.Linear(784, 10)
    model = nn.Sequential(nn.Flatten(), linear)
    optimizer = torch.optim.SGD([linear.bias], lr=0.5)
    before = linear.weight.detach().clone()
    result = run(model=model, optimizer=optimizer, epochs=1, limit_train=64)
    assert result.final["lr"] == 0.5
    assert torch.equal(before, linear.weight)


def test_a_loss_record_brings_its_contract(run: Callable[..., RunResult]) -> None:
    """A loss given as a record is adapted to: an NLL loss gets log-probabilities, and equals cross-entropy."""
    nll = lossreg.Loss("nll", "torch.nn:NLLLoss", input="log_probabilities", target="index", averages="sample")
    ours = run(loss=nll, epochs=1, limit_train=128)
    peer = run(loss="cross_entropy", epochs=1, limit_train=128)
    assert ours.final["train_loss"] == pytest.approx(peer.final["train_loss"], rel=1e-6)
    assert json.loads((ours.directory / "run.json").read_text())["contract"]["input"] == "log_softmax"


def test_closure_optimizers_get_their_closure(run: Callable[..., RunResult]) -> None:
    """An optimizer whose record asks for a closure is stepped with one, as torch's LBFGS is in a plain loop."""
    registries = lossreg.load_registries()
    registries.optimizers.register("lbfgs", "torch.optim:LBFGS", closure=True, defaults={"max_iter": 3})
    result = run(
        data="diabetes", model="mlp(hidden=[])", optimizer="lbfgs", epochs=2, batch_size=1000, registries=registries
    )
    data = lossreg.datasets.build("diabetes")
    assert isinstance(data.train, tuple)
    torch.manual_seed(0)
    model = nn.Linear(10, 1)
    optimizer = torch.optim.LBFGS(model.parameters(), max_iter=3)
    for epoch in range(2):
        order = np.random.default_rng([0, epoch]).permutation(354)
        inputs, targets = data.train[0][order], data.train[1][order]

        def closure(inputs: Tensor = inputs, targets: Tensor = targets) -> Tensor:
            optimizer.zero_grad()
            loss = functional.mse_loss(model(inputs), targets)
            loss.backward()
            return loss

        optimizer.step(closure)
    for ours, plain in zip(result.model.parameters(), model.parameters(), strict=True):
        torch.testing.assert_close(ours, plain)


def test_a_scheduler_that_follows_a_metric(run: Callable[..., RunResult]) -> None:
    """ReduceLROnPlateau gets the metric that its record names: with rate 0 it never improves, and the rate falls."""
    registries = lossreg.load_registries()
    registries.schedulers.register(
        "plateau", "torch.optim.lr_scheduler:ReduceLROnPlateau", monitor="test_loss", defaults={"patience": 0}
    )
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10)).requires_grad_()
    result = run(
        model=model, optimizer="sgd(lr=1e-30)", scheduler="plateau(factor=0.5, eps=0.0)", epochs=4, limit_train=64,
        registries=registries,
    )  # fmt: skip
    assert [row["lr"] for row in result.metrics] == pytest.approx([1e-30, 1e-30, 5e-31, 2.5e-31])


def test_a_map_style_data_set_serves(run: Callable[..., RunResult]) -> None:
    """A torch Dataset of pairs trains like the pair of tensors that it holds."""
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    pairs = torch.utils.data.TensorDataset(data.train[0][:128], data.train[1][:128])
    mapped = Data(pairs, pairs, task="classification", in_shape=(1, 28, 28), num_classes=10)
    plain = run(model="mnist_cnn", epochs=1, limit_train=128)
    assert_same(weights(run(data=mapped, model="mnist_cnn", epochs=1).model), weights(plain.model))


def test_segmentation(run: Callable[..., RunResult]) -> None:
    """Dice trains a segmentation, and the accuracy counts pixels."""
    images = torch.rand(32, 1, 8, 8)
    targets = (images[:, 0] > 0.5).long()
    data = Data((images, targets), (images, targets), task="segmentation", in_shape=(1, 8, 8), num_classes=2)
    model = nn.Conv2d(1, 2, 1)
    result = run(data=data, model=model, loss="dice", optimizer="adam(lr=0.1)", epochs=40, batch_size=8)
    expected = (model(images).argmax(1) == targets).double().mean().item()
    assert result.final["test_accuracy"] == pytest.approx(expected)
    assert expected > 0.9


class Stopper:
    """Stops a run when an epoch is over."""

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Requests the stop."""
        if record["epoch"] == self.epoch:
            run.request_stop("that is enough")


def test_an_observer_can_stop_a_run(run: Callable[..., RunResult]) -> None:
    """A requested stop ends the run cleanly, with its reason in the record."""
    result = run(epochs=10, limit_train=64, observers=[Stopper(1)])
    assert (len(result.metrics), result.reason) == (2, "that is enough")
    record = json.loads((result.directory / "run.json").read_text())
    assert (record["status"], record["epochs_done"]) == ("stopped", 2)


class Breaker:
    """Raises in the middle of a run."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Raises."""
        raise self.error


@pytest.mark.parametrize(
    ("error", "status"), [(RuntimeError("broken"), "failed"), (KeyboardInterrupt(), "interrupted")]
)
def test_a_run_that_fails_keeps_what_there_is(
    run: Callable[..., RunResult], tmp_path: Path, error: BaseException, status: str
) -> None:
    """A run that an error or Ctrl-C ends leaves its metrics, its weights so far and the reason."""
    with pytest.raises(type(error)):
        run(epochs=3, limit_train=64, observers=[Breaker(error)], out=tmp_path / "broken")
    record = json.loads((tmp_path / "broken" / "run.json").read_text())
    assert record["status"] == status
    assert record["epochs_done"] == 1
    assert len((tmp_path / "broken" / "metrics.jsonl").read_text().splitlines()) == 1
    assert len(torch.load(tmp_path / "broken" / "model.pt", weights_only=True)) == 8


def test_a_loss_that_is_no_longer_finite_ends_the_run(run: Callable[..., RunResult]) -> None:
    """A training loss of nan or inf is an error that names epoch, step and rate."""
    with pytest.raises(lossreg.RunFailedError, match="lower learning rate") as caught:
        run(data="diabetes", loss="mse", optimizer="sgd(lr=1e12)", epochs=5)
    assert caught.value.step > 0


def test_the_caller_s_model_keeps_training_where_it_was(run: Callable[..., RunResult]) -> None:
    """A model given as an object is trained in place and returned."""
    model = tutorial_model()
    assert run(model=model, epochs=1, limit_train=64).model is model


@pytest.mark.mnist
def test_mnist_reaches_95_percent(run: Callable[..., RunResult], mnist_root: Path) -> None:
    """Cross-entropy and plain SGD at 0.01 reach 95% on the real MNIST in 3 epochs."""
    result = run(data=f"mnist(root={str(mnist_root)!r})", optimizer="sgd(momentum=0.0)", epochs=3)
    assert result.final["test_accuracy"] >= 0.95
