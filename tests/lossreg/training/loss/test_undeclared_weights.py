"""Losses that are objects and declare nothing: class weights and ignored targets count as the loss counts them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.nn import functional

from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

WEIGHT = torch.tensor([1.0, 5.0, 0.2])


class OwnCrossEntropy(nn.CrossEntropyLoss):
    """A class of one's own, which changes nothing."""


class Divided(nn.CrossEntropyLoss):
    """Has class weights, and divides by the number of samples all the same."""

    def forward(self, input: torch.Tensor, target: torch.Tensor) -> torch.Tensor:  # noqa: A002  # torch's name
        """The loss."""
        return functional.cross_entropy(input, target, self.weight, reduction="sum") / len(target)


def log_probabilities() -> nn.Module:
    """A model for NLLLoss, which is trained at the rate 0."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(6, 3), nn.LogSoftmax(1))


def table(targets: int = 3) -> Data:
    """45 and 21 samples of three classes, the rare ones behind."""
    generator = torch.Generator().manual_seed(1)
    splits = []
    for count in (45, 21):
        inputs = torch.randn(count, 6, generator=generator)
        splits.append((inputs, (torch.arange(count) ** 2 // count) % targets))
    return Data(splits[0], splits[1], task="classification", in_shape=(6,), num_classes=3)


@pytest.mark.parametrize(
    "loss",
    [
        nn.NLLLoss(weight=WEIGHT),
        nn.NLLLoss(ignore_index=2),
        nn.NLLLoss(weight=WEIGHT, ignore_index=1),
        OwnCrossEntropy(weight=WEIGHT),
        OwnCrossEntropy(weight=WEIGHT, label_smoothing=0.1),
        Divided(weight=WEIGHT),
        nn.NLLLoss(),
    ],
    ids=["weight", "ignored", "both", "subclass", "smoothing", "divided by samples", "plain"],
)
@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_loss_of_a_split_is_the_loss_of_all_its_samples_at_once(run: Run, loss: Any, accumulate: int) -> None:
    """test_loss and train_loss are what the loss gives for the whole split, however it is cut into batches."""
    data, model = table(), log_probabilities()
    splits: Any = {"test_loss": data.test, "train_loss_after": data.train, "train_loss": data.train}
    result = run(
        data=data, model=model, loss=loss, optimizer="sgd(lr=1e-12, momentum=0)", epochs=1, batch_size=4,
        accumulate=accumulate, eval_train=True,
    )  # fmt: skip
    for name, (inputs, targets) in splits.items():
        with torch.no_grad():
            expected = loss(model(inputs), targets).item()
        assert result.final[name] == pytest.approx(expected, rel=1e-5), name


def test_class_weights_with_class_probabilities_as_targets(run: Run) -> None:
    """Torch divides by the number of samples then, also where the classes have weights."""
    train: Any = table().train
    inputs, hard = train
    soft = functional.one_hot(hard, 3).float() * 0.7 + 0.1
    data = Data((inputs, soft), (inputs, soft), task="regression", in_shape=(6,), out_features=3)
    model = log_probabilities()
    loss = nn.CrossEntropyLoss(weight=WEIGHT, label_smoothing=0.1)
    result = run(data=data, model=model, loss=loss, optimizer="sgd(lr=1e-12)", epochs=1, batch_size=4, accumulate=2)
    with torch.no_grad():
        expected = loss(model(inputs), soft).item()
    assert (result.final["train_loss"], result.final["test_loss"]) == pytest.approx((expected, expected), rel=1e-5)


def test_accumulated_steps_are_those_of_the_whole_batch(run: Run) -> None:
    """One step of NLLLoss with class weights, cut into micro-batches, is torch's step on all samples."""
    data, model = table(), log_probabilities()
    by_hand = log_probabilities()
    loss = nn.NLLLoss(weight=WEIGHT)
    run(data=data, model=model, loss=loss, optimizer="sgd(lr=0.5, momentum=0)", epochs=1, batch_size=9, accumulate=5)
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.5)
    loss(by_hand(data.train[0]), data.train[1]).backward()
    optimizer.step()
    for one, other in zip(model.parameters(), by_hand.parameters(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=0)
