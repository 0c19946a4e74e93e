"""The loop: a plain PyTorch loop, bit for bit."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights


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
        ("sgd", lambda parameters: torch.optim.SGD(parameters, lr=0.01, momentum=0.9, fused=True)),
        ("adam(lr=3e-4)", lambda parameters: torch.optim.Adam(parameters, lr=3e-4, fused=True)),
        ("adam(lr=3e-4, fused=False)", lambda parameters: torch.optim.Adam(parameters, lr=3e-4)),
    ],
)
def test_a_run_is_the_plain_loop_bit_for_bit(
    run: Run,
    weights: Weights,
    hand_loop: HandLoop,
    digits: Samples,
    tutorial_model: Callable[[], nn.Module],
    loss: str,
    by_hand: Any,
    optimizer: str,
    make: Any,
) -> None:
    """A plain PyTorch loop with the same seed and order ends with the same bits, schedule and ragged batch included."""
    result = run(
        loss=loss, optimizer=optimizer, scheduler="lambda_lr(lr_lambda='1 / (1 + epoch)')", epochs=3, seed=7,
        batch_size=16, limit_train=40, limit_test=10,
    )  # fmt: skip
    torch.manual_seed(7)
    model = tutorial_model()
    plain = make(model.parameters())
    schedule = torch.optim.lr_scheduler.LambdaLR(plain, lambda epoch: 1 / (1 + epoch))
    samples = digits[0][:40], digits[1][:40]
    hand_loop(model, by_hand, plain, samples, epochs=3, batch_size=16, seed=7, scheduler=schedule)
    assert weights(model).equal(weights(result.model))


def test_the_checks_before_a_run_change_nothing(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples
) -> None:
    """Dropout and batch normalisation end as in a plain loop: the probe batch leaves no trace."""

    def make() -> nn.Module:
        torch.manual_seed(11)
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 16), nn.BatchNorm1d(16), nn.Dropout(), nn.Linear(16, 10))

    result = run(model=make(), optimizer="sgd", epochs=1, limit_train=128, seed=5)
    model = make()
    torch.manual_seed(5)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    hand_loop(model, functional.cross_entropy, optimizer, (digits[0][:128], digits[1][:128]), seed=5)
    assert weights(model).equal(weights(result.model))


def test_train_loss_is_the_mean_over_the_samples_of_the_epoch(
    run: Run, digits: Samples, tutorial_model: Callable[[], nn.Module]
) -> None:
    """With rate 0, train_loss is the loss of the untouched weights over the training split, ragged batch included."""
    torch.manual_seed(0)
    model = tutorial_model()
    result = run(model=model, optimizer="sgd(lr=0.0)", epochs=1, limit_train=100, limit_test=8)
    with torch.no_grad():
        expected = functional.cross_entropy(model(digits[0][:100]), digits[1][:100]).item()
    # The sums of a logit have up to 1,600 terms: sqrt(1600) roundings of 2**-24 are 2e-6.
    assert result.final["train_loss"] == pytest.approx(expected, rel=1e-5)


def test_a_batch_larger_than_the_data_is_one_batch(run: Run) -> None:
    """A batch size beyond the split gives one step an epoch."""
    assert run(model="mlp", epochs=2, limit_train=50, batch_size=1000).final["step"] == 2


def test_a_loss_that_is_no_longer_finite_ends_the_run(run: Run) -> None:
    """A training loss of nan or inf is an error that names epoch, step and rate."""
    with pytest.raises(lossreg.RunFailedError, match="lower learning rate") as caught:
        run(data="diabetes", loss="mse", optimizer="sgd(lr=1e12)", epochs=5)
    assert caught.value.step > 0
