"""`lossreg.run` and `lossreg.plan`: what trains, and from what."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Samples, Weights


def test_the_same_seed_gives_the_same_weights(run: Run, weights: Weights) -> None:
    """Two runs with one seed agree bit for bit, and another seed gives other weights."""
    first, again, other = (run(loss="dice", epochs=2, batch_size=16, limit_train=40, seed=seed) for seed in (3, 3, 4))
    assert weights(first.model).equal(weights(again.model))
    assert not weights(first.model).equal(weights(other.model))


@pytest.mark.parametrize("scheduler", [None, "lambda_lr(lr_lambda='epoch // 2')"])
@pytest.mark.parametrize("optimizer", ["sgd", "adam"])
@pytest.mark.parametrize("loss", ["l1", "mse", "cross_entropy", "dice"])
def test_every_combination_runs_on_digits(run: Run, loss: str, optimizer: str, scheduler: str | None) -> None:
    """Each loss, optimizer and schedule trains the CNN on digits."""
    small = {"epochs": 3, "batch_size": 8, "limit_train": 9, "limit_test": 4}
    result = run(loss=loss, optimizer=optimizer, scheduler=scheduler, **small)
    assert result.final["epoch"] == 2
    assert 0 <= result.final["test_accuracy"] <= 1


@pytest.mark.parametrize(("loss", "bound"), [("l1", 0.75), ("mse", 0.75)])
def test_regression_losses_learn_diabetes(run: Run, loss: str, bound: float) -> None:
    """L1 and MSE predict diabetes better than the mean of the training split does."""
    data = lossreg.datasets.build("diabetes")
    assert isinstance(data.test, tuple)
    baseline = data.test[1].abs().mean().item()  # the mean of the standardised training targets is 0
    final = run(data="diabetes", loss=loss, epochs=20).final
    assert final["test_mean_absolute_error"] < bound < baseline


def test_objects_serve_as_parts(run: Run) -> None:
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


def test_a_map_style_data_set_serves(run: Run, weights: Weights, digits: Samples) -> None:
    """A torch Dataset of pairs trains like the pair of tensors that it holds."""
    pairs = torch.utils.data.TensorDataset(digits[0][:128], digits[1][:128])
    mapped = Data(pairs, pairs, task="classification", in_shape=(1, 28, 28), num_classes=10)
    plain = run(model="mnist_cnn", epochs=1, limit_train=128)
    assert weights(run(data=mapped, model="mnist_cnn", epochs=1).model).equal(weights(plain.model))


def test_segmentation(run: Run) -> None:
    """Dice trains a segmentation, and the accuracy counts pixels."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(32, 1, 8, 8, generator=generator)
    targets = (images[:, 0] > 0.5).long()
    data = Data((images, targets), (images, targets), task="segmentation", in_shape=(1, 8, 8), num_classes=2)
    torch.manual_seed(0)
    model = nn.Conv2d(1, 2, 1)
    result = run(data=data, model=model, loss="dice", optimizer="adam(lr=0.1)", epochs=40, batch_size=8)
    expected = (model(images).argmax(1) == targets).double().mean().item()
    assert result.final["test_accuracy"] == pytest.approx(expected)
    assert expected > 0.9


def test_the_caller_s_model_keeps_training_where_it_was(run: Run, tutorial_model: Callable[[], nn.Module]) -> None:
    """A model given as an object is trained in place and returned."""
    model = tutorial_model()
    assert run(model=model, epochs=1, limit_train=64).model is model


@pytest.mark.mnist
def test_mnist_reaches_95_percent(run: Run, mnist_root: Path) -> None:
    """Cross-entropy and SGD with momentum reach 95% on the real MNIST with half of its samples, each seen once."""
    result = run(data=f"mnist(root={str(mnist_root)!r})", epochs=1, limit_train=30_000)
    assert result.final["test_accuracy"] >= 0.95
