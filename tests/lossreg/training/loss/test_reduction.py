"""How the loss of a batch follows from its values on parts of the batch."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Weights

# One large batch and several small ones are compared in float64 (the fixture float64). A step divides by a sum of
# weights, which a run may keep in float32: a relative error of 2**-24 in each step. Rates times gradients times steps
# are below 1 in every case here, so weights and losses agree to 2**-24, and to ROUNDING with a factor for what the
# following steps make of it. The mean of the batches' means would be off by more than 1e-4 (the first test).
ROUNDING = 1e-6


def test_the_mean_over_batches_of_their_means_would_differ(
    run: Run, weights: Weights, hand_loop: HandLoop, float64: Data
) -> None:
    """With class weights, the mean of batch means is measurably another step than the one that is taken."""
    weight = torch.tensor([1.0, 2, 3, 4, 5, 6, 7, 8, 9, 0])
    assert isinstance(float64.train, tuple)
    samples = float64.train[0][:64], float64.train[1][:64]
    taken = run(
        data=float64, model="mlp", loss=f"cross_entropy(weight={weight.tolist()})", epochs=1, limit_train=64,
        limit_test=8, batch_size=16, accumulate=4, optimizer="sgd(lr=0.1, momentum=0.0)",
    ).model  # fmt: skip

    def of_all(output: Tensor, target: Tensor) -> Tensor:
        return functional.cross_entropy(output, target, weight)

    def of_means(output: Tensor, target: Tensor) -> Tensor:
        parts = zip(output.split(16), target.split(16), strict=True)
        return torch.stack([of_all(*part) for part in parts]).mean()

    by_hand = []
    for loss in (of_all, of_means):
        torch.manual_seed(0)
        model = lossreg.models.build("mlp", in_features=784, out_features=10)
        hand_loop(model, loss, torch.optim.SGD(model.parameters(), lr=0.1), samples)
        by_hand.append(weights(model))
    torch.testing.assert_close(weights(taken), by_hand[0], atol=ROUNDING, rtol=0)
    assert (by_hand[1] - by_hand[0]).abs().max() > 100 * ROUNDING


def segments(ignored: int) -> Data:
    """Small segmentations in which whole images are ignored."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(12, 1, 4, 4, generator=generator, dtype=torch.float64)
    targets = (images[:, 0] > 0.5).long()
    targets[3:6] = ignored  # batches of which nothing counts
    targets[8, :2] = ignored
    return Data((images, targets), (images, targets), "segmentation", (1, 4, 4), num_classes=2)


def pixelwise() -> nn.Module:
    """One number of each pixel to two."""
    torch.manual_seed(0)
    return nn.Conv2d(1, 2, 1, dtype=torch.float64)


def test_batches_that_are_ignored_whole_do_no_harm(run: Run, weights: Weights) -> None:
    """A batch without a target that counts has gradient 0, alone or among others, and never NaN."""
    usual: dict[str, Any] = {"data": segments(-100), "loss": "cross_entropy", "optimizer": "sgd(lr=0.5)", "epochs": 3}
    large = run(model=pixelwise(), batch_size=12, **usual)
    small = run(model=pixelwise(), batch_size=1, accumulate=12, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=ROUNDING, rtol=0)
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
    assert result.final["train_loss"] == pytest.approx(expected, rel=ROUNDING)
    assert result.final["test_loss"] == pytest.approx(expected, rel=ROUNDING)


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("dice", "the loss dice is not declared as a mean over samples or elements"),
        (
            lambda *batch: nn.functional.cross_entropy(*batch),
            "declares nothing that says what it averages over (give a lossreg.Loss)",
        ),
    ],
)
def test_a_loss_that_does_not_decompose_is_warned_of(
    run: Run, caplog: pytest.LogCaptureFixture, loss: Any, said: str
) -> None:
    """Accumulating batches of a loss that is no mean says so; one batch a step says nothing."""
    with caplog.at_level(logging.WARNING):
        run(model="mlp", loss=loss, epochs=1, limit_train=64, limit_test=8, batch_size=16, accumulate=2)
    assert said in caplog.text
    assert "2 accumulated batches" in caplog.text
    caplog.clear()
    run(model="mlp", loss=loss, epochs=1, limit_train=64, limit_test=8)
    assert caplog.text == ""


def test_batch_normalisation_is_warned_of(run: Run, caplog: pytest.LogCaptureFixture) -> None:
    """Statistics of a batch are those of each accumulated batch, which a warning says."""
    model = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    with caplog.at_level(logging.WARNING):
        run(model=model, epochs=1, limit_train=64, limit_test=8, batch_size=16, accumulate=2)
    assert "batch normalisation, which sees each of 2 accumulated batches" in caplog.text


def test_a_loss_whose_weights_divide_by_nothing_is_seen(run: Run, weights: Weights, float64: Data) -> None:
    """MultiMarginLoss has class weights and divides by the samples: accumulated batches make the large one."""

    def make() -> nn.Module:
        return nn.MultiMarginLoss(weight=torch.arange(10, dtype=torch.float64))

    usual: dict[str, Any] = {
        "data": float64, "model": "mlp", "loss": lossreg.Loss("margin", make, target="index", averages="element"),
        "epochs": 1, "limit_train": 200, "limit_test": 8,
    }  # fmt: skip
    large, small = run(batch_size=64, **usual), run(batch_size=16, accumulate=4, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=ROUNDING, rtol=0)
    assert json.loads((large.directory / "run.json").read_text())["reduction"] == "samples"
