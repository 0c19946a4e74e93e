"""Accumulated batches, clipped gradients, weighted means, closures: one step is that of the whole batch."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data, RunResult

Run = Callable[..., RunResult]
Weights = Callable[[nn.Module], Tensor]

LOSSES = [
    "cross_entropy",
    "mse",
    "l1",
    "cross_entropy(weight=[1, 2, 3, 4, 5, 6, 7, 8, 9, 0])",
    "cross_entropy(ignore_index=3)",
    "cross_entropy(weight=[0, 1, 1, 1, 1, 1, 1, 1, 1, 1], ignore_index=1, label_smoothing=0.1)",
    "cross_entropy(reduction='sum')",
]


@pytest.mark.parametrize("loss", LOSSES)
def test_accumulated_batches_are_one_large_batch(run: Run, weights: Weights, loss: str) -> None:
    """4 batches of 16 give the weights and the training loss of one of 64, to rounding, ragged last batch included."""
    usual = {"loss": loss, "optimizer": "sgd(lr=0.001)", "epochs": 2, "limit_train": 205, "limit_test": 50}
    large = run(batch_size=64, **usual)
    small = run(batch_size=16, accumulate=4, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=1e-6, rtol=0)
    assert [r["train_loss"] for r in small.metrics] == pytest.approx([r["train_loss"] for r in large.metrics], rel=1e-5)
    assert [r["step"] for r in small.metrics] == [r["step"] for r in large.metrics] == [4, 8]


def test_the_mean_over_batches_of_their_means_would_differ(run: Run, weights: Weights) -> None:
    """With class weights, the mean of batch means is measurably another step than the one that is taken."""
    weight = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    loss = f"cross_entropy(weight={weight.tolist()})"
    taken = run(
        loss=loss, optimizer="sgd(lr=0.1, momentum=0.0)", epochs=1, limit_train=64, batch_size=16, accumulate=4
    ).model
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    inputs, targets = data.train[0][:64], data.train[1][:64]
    torch.manual_seed(0)
    start = lossreg.models.build("mnist_cnn")
    steps = {}
    for name in ("whole", "means"):
        model = lossreg.models.build("mnist_cnn")
        model.load_state_dict(start.state_dict())
        order = torch.from_numpy(np.random.default_rng([0, 0]).permutation(64))
        values = [functional.cross_entropy(model(inputs[part]), targets[part], weight) for part in order.split(16)]
        whole = functional.cross_entropy(model(inputs), targets, weight)
        (whole if name == "whole" else torch.stack(values).mean()).backward()
        with torch.no_grad():
            for parameter in model.parameters():
                assert parameter.grad is not None
                parameter.sub_(parameter.grad, alpha=0.1)
        steps[name] = weights(model)
    torch.testing.assert_close(weights(taken), steps["whole"], atol=1e-6, rtol=0)
    assert (steps["means"] - steps["whole"]).abs().max() > 1e-4


def segments(ignored: int) -> Data:
    """Small segmentations in which whole images are ignored."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(12, 1, 4, 4, generator=generator)
    targets = (images[:, 0] > 0.5).long()
    targets[3:6] = ignored  # batches of which nothing counts
    targets[8, :2] = ignored
    return Data((images, targets), (images, targets), "segmentation", (1, 4, 4), num_classes=2)


def pixelwise() -> nn.Module:
    """One number of each pixel to two."""
    torch.manual_seed(0)
    return nn.Conv2d(1, 2, 1)


def test_batches_that_are_ignored_whole_do_no_harm(run: Run, weights: Weights) -> None:
    """A batch without a target that counts has gradient 0, alone or among others, and never NaN."""
    usual: dict[str, Any] = {"data": segments(-100), "loss": "cross_entropy", "optimizer": "sgd(lr=0.5)", "epochs": 3}
    large = run(model=pixelwise(), batch_size=12, **usual)
    small = run(model=pixelwise(), batch_size=1, accumulate=12, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=1e-6, rtol=0)
    alone = run(model=pixelwise(), batch_size=1, **usual)
    assert weights(alone.model).isfinite().all()


@pytest.mark.parametrize("accumulate", [1, 3])
def test_train_loss_weighs_what_counts(run: Run, accumulate: int) -> None:
    """With rate 0, train_loss is cross-entropy over all targets that count, however they lie in batches."""
    data = segments(-100)
    assert isinstance(data.train, tuple)
    model = pixelwise()
    expected = functional.cross_entropy(model(data.train[0]), data.train[1]).item()
    result = run(
        data=data, model=model, loss="cross_entropy", optimizer="sgd(lr=0.0)", epochs=1, batch_size=2,
        accumulate=accumulate,
    )  # fmt: skip
    assert result.final["train_loss"] == pytest.approx(expected, rel=1e-6)
    assert result.final["test_loss"] == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("dice", "the loss dice is not a mean over samples or elements"),
        (nn.CrossEntropyLoss(), "declares nothing that says what it averages over (give a lossreg.Loss)"),
    ],
)
def test_a_loss_that_does_not_decompose_is_warned_of(
    run: Run, caplog: pytest.LogCaptureFixture, loss: Any, said: str
) -> None:
    """Accumulating batches of a loss that is no mean says so; one batch a step says nothing."""
    with caplog.at_level(logging.WARNING):
        run(loss=loss, epochs=1, limit_train=64, limit_test=8, batch_size=16, accumulate=2)
    assert said in caplog.text
    assert "2 accumulated batches" in caplog.text
    caplog.clear()
    run(loss=loss, epochs=1, limit_train=64, limit_test=8)
    assert caplog.text == ""


def test_batch_normalisation_is_warned_of(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Statistics of a batch are those of each accumulated batch, which a warning says."""
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    with caplog.at_level(logging.WARNING):
        run(model=model, epochs=1, limit_train=64, limit_test=8, batch_size=16, accumulate=2)
    assert "batch normalisation, which sees each of 2 accumulated batches" in caplog.text


@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e6])
def test_gradients_are_clipped_as_torch_does(run: Run, weights: Weights, clip: float) -> None:
    """A clipped step is that of `clip_grad_norm_`, and the norm before it is in the record."""
    result = run(
        optimizer="sgd(momentum=0.0)", epochs=1, limit_train=64, limit_test=8, clip_grad_norm=clip, log_every=1
    )
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    torch.manual_seed(0)
    model = lossreg.models.build("mnist_cnn")
    functional.cross_entropy(model(data.train[0][:64]), data.train[1][:64]).backward()
    norm = torch.nn.utils.clip_grad_norm_(model.parameters(), clip)
    with torch.no_grad():
        for parameter in model.parameters():
            assert parameter.grad is not None
            parameter.sub_(parameter.grad, alpha=0.01)
    torch.testing.assert_close(weights(result.model), weights(model), atol=1e-7, rtol=1e-5)
    row = json.loads((result.directory / "metrics.jsonl").read_text().splitlines()[0])
    assert row["gradient_norm"] == pytest.approx(norm.item(), rel=1e-5)


def test_clipping_acts_on_the_accumulated_gradient(run: Run, weights: Weights) -> None:
    """The norm is that of the whole step, not of each batch."""
    usual = {"epochs": 1, "limit_train": 200, "limit_test": 8, "clip_grad_norm": 0.1}
    large, small = run(batch_size=64, **usual), run(batch_size=16, accumulate=4, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=1e-6, rtol=0)


@pytest.fixture
def registries() -> lossreg.Registries:
    """The built-ins with LBFGS, OneCycleLR and ReduceLROnPlateau, as a plugin would offer them."""
    made = lossreg.load_registries(allow=[])
    made.optimizers.register("lbfgs", "torch.optim:LBFGS", closure=True, defaults={"max_iter": 4})
    made.schedulers.register(
        "one_cycle", "torch.optim.lr_scheduler:OneCycleLR", interval="step", runtime_args={"total_steps": "total_steps"}
    )
    made.schedulers.register(
        "plateau", "torch.optim.lr_scheduler:ReduceLROnPlateau", monitor="test_loss", defaults={"patience": 0}
    )
    return made


def test_a_closure_optimizer_steps_as_by_hand(run: Run, registries: lossreg.Registries) -> None:
    """LBFGS on a regression gives the weights of a plain loop, also from accumulated batches."""
    usual = {"data": "diabetes", "loss": "mse", "optimizer": "lbfgs", "epochs": 2, "registries": registries}
    torch.manual_seed(0)
    hand, ours, accumulated = (nn.Linear(10, 1) for _ in range(3))
    for model in (ours, accumulated):
        model.load_state_dict(hand.state_dict())
    run(model=ours, batch_size=354, **usual)
    run(model=accumulated, batch_size=100, accumulate=4, **usual)
    data = lossreg.datasets.build("diabetes")
    assert isinstance(data.train, tuple)
    inputs, targets = data.train
    optimizer = torch.optim.LBFGS(hand.parameters(), max_iter=4)

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = functional.mse_loss(hand(inputs), targets)
        loss.backward()
        return loss

    for _ in range(2):
        optimizer.step(closure)
    torch.testing.assert_close(ours.weight, hand.weight, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(accumulated.weight, hand.weight, atol=1e-4, rtol=1e-4)


def test_one_cycle_takes_the_steps_of_the_run(run: Run, registries: lossreg.Registries) -> None:
    """OneCycleLR gets total_steps, which counts steps of the optimizer, and has the rates of torch's own."""
    result = run(
        optimizer="sgd(momentum=0.9)", scheduler="one_cycle(max_lr=0.1)", epochs=2, limit_train=200, limit_test=8,
        batch_size=25, accumulate=2, log_every=1, registries=registries,
    )  # fmt: skip
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=0.01, momentum=0.9)
    scheduler = torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=8)
    expected = []
    for step in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        if step < 7:
            scheduler.step()
    assert [row["lr"] for row in rows if row["kind"] == "step"] == pytest.approx(expected)


class Tempered(nn.Module):
    """Cross-entropy at a temperature that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.cross_entropy(output / self.temperature, target)


def test_the_weights_of_a_loss_are_trained_and_kept(run: Run) -> None:
    """A loss's own parameters move as in a plain loop, are in the result, and lie in loss.pt."""
    loss = Tempered()
    result = run(loss=loss, optimizer="sgd(lr=0.1, momentum=0.0)", epochs=1, limit_train=128, limit_test=8)
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    torch.manual_seed(0)
    model, hand = lossreg.models.build("mnist_cnn"), Tempered()
    optimizer = torch.optim.SGD([*model.parameters(), *hand.parameters()], lr=0.1)
    order = torch.from_numpy(np.random.default_rng([0, 0]).permutation(128))
    for part in order.split(64):
        optimizer.zero_grad()
        hand(model(data.train[0][part]), data.train[1][part]).backward()
        optimizer.step()
    assert result.loss is loss
    assert loss.temperature.item() == pytest.approx(hand.temperature.item(), rel=1e-5)
    assert loss.temperature.item() != 1
    kept = torch.load(result.directory / "loss.pt", weights_only=True)
    assert kept["temperature"].item() == loss.temperature.item()


def test_a_loss_without_weights_leaves_no_file(run: Run) -> None:
    """loss.pt is there for a loss that was trained, and for no other."""
    assert not (run(epochs=1, limit_train=64, limit_test=8).directory / "loss.pt").exists()


def test_a_loss_whose_weights_divide_by_nothing_is_seen(run: Run, weights: Weights) -> None:
    """MultiMarginLoss has class weights and divides by the samples: accumulated batches make the large one."""
    usual: dict[str, Any] = {
        "loss": lossreg.Loss(
            "margin",
            lambda: nn.MultiMarginLoss(weight=torch.arange(10.0)),
            target="index",
            averages="element",
        ),
        "epochs": 1, "limit_train": 200, "limit_test": 8,
    }  # fmt: skip
    large, small = run(batch_size=64, **usual), run(batch_size=16, accumulate=4, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=1e-6, rtol=0)
    assert json.loads((large.directory / "run.json").read_text())["reduction"] == "samples"


class Late(nn.Module):
    """A layer that takes part from the second batch on."""

    def __init__(self) -> None:
        super().__init__()
        self.first, self.second, self.calls = nn.Linear(784, 10), nn.Linear(784, 10), 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        self.calls += self.training
        rows = images.flatten(1)
        logits: Tensor = self.first(rows)
        return logits + self.second(rows) if self.calls > 1 else logits


def test_a_gradient_that_comes_later_is_no_error(run: Run, weights: Weights, caplog: pytest.LogCaptureFixture) -> None:
    """Where a parameter gets its first gradient later, which fused SGD cannot take, it steps as a hand loop does."""
    torch.manual_seed(0)
    ours, hand = Late(), Late()
    hand.load_state_dict(ours.state_dict())
    with caplog.at_level(logging.WARNING):
        run(model=ours, epochs=1, limit_train=256, limit_test=8)
    assert "the optimizer is not fused" in caplog.text
    data = lossreg.datasets.build("digits")
    assert isinstance(data.train, tuple)
    optimizer = torch.optim.SGD(hand.parameters(), lr=0.01, momentum=0.9)
    for part in torch.from_numpy(np.random.default_rng([0, 0]).permutation(256)).split(64):
        optimizer.zero_grad()
        functional.cross_entropy(hand(data.train[0][part]), data.train[1][part]).backward()
        optimizer.step()
    assert weights(ours).equal(weights(hand))


def test_sparse_gradients_train(run: Run) -> None:
    """A sparse embedding trains with SGD, whose fused form does not take its gradients."""
    tokens = torch.arange(64).view(16, 4)
    data = Data((tokens, tokens[:, 0] % 2), (tokens, tokens[:, 0] % 2), "classification", (4,), num_classes=2)
    model = nn.EmbeddingBag(64, 2, sparse=True)
    before = model.weight.detach().clone()
    run(data=data, model=model, optimizer="sgd(momentum=0.0)", epochs=1)
    assert not model.weight.equal(before)


class Blind(nn.Module):
    """Gives NaN in evaluation, after the checks."""

    def __init__(self) -> None:
        super().__init__()
        self.linear, self.calls = nn.Linear(784, 10), 0

    def forward(self, images: Tensor) -> Tensor:
        """Logits."""
        logits: Tensor = self.linear(images.flatten(1))
        return logits if self.training else logits * torch.nan


def test_a_metric_that_is_no_number_is_no_improvement(run: Run, registries: lossreg.Registries) -> None:
    """ReduceLROnPlateau takes a test loss of NaN for an epoch without improvement."""
    result = run(
        model=Blind(), optimizer="sgd(lr=0.1)", scheduler="plateau(factor=0.5)", epochs=3, limit_train=64, limit_test=8,
        registries=registries,
    )  # fmt: skip
    assert [row["lr"] for row in result.metrics] == pytest.approx([0.1, 0.05, 0.025])
