"""One step of the optimizer: accumulated batches, clipped gradients, closures, fused or not."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights

# As in loss/test_reduction.py: in float64, but for one division by a sum that a run may keep in float32.
ROUNDING = 1e-6

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
def test_accumulated_batches_are_one_large_batch(run: Run, weights: Weights, float64: Data, loss: str) -> None:
    """4 batches of 16 give the weights and the training loss of one of 64, to rounding, ragged last batch included."""
    usual = {
        "data": float64, "model": "mlp", "loss": loss, "optimizer": "sgd(lr=0.001)", "epochs": 2, "limit_train": 205,
        "limit_test": 50,
    }  # fmt: skip
    large = run(batch_size=64, **usual)
    small = run(batch_size=16, accumulate=4, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=ROUNDING, rtol=0)
    expected = [row["train_loss"] for row in large.metrics]
    assert [row["train_loss"] for row in small.metrics] == pytest.approx(expected, rel=ROUNDING)
    assert [row["step"] for row in small.metrics] == [row["step"] for row in large.metrics] == [4, 8]


@pytest.mark.parametrize("clip", [1e-3, 0.5, 1e6])
def test_gradients_are_clipped_as_torch_does(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, tutorial_model: Callable[[], nn.Module],
    clip: float,
) -> None:  # fmt: skip
    """Clipped steps are those of `clip_grad_norm_`, bit for bit, and the norm before it is in the row."""
    result = run(epochs=1, limit_train=128, limit_test=8, clip_grad_norm=clip, log_every=1)
    torch.manual_seed(0)
    model = tutorial_model()
    norms: list[float] = []

    def clipped() -> None:
        norms.append(nn.utils.clip_grad_norm_(model.parameters(), clip).item())

    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
    samples = digits[0][:128], digits[1][:128]
    hand_loop(model, functional.cross_entropy, optimizer, samples, after_backward=clipped)
    assert weights(result.model).equal(weights(model))
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    assert [row["gradient_norm"] for row in rows if row["kind"] == "step"] == norms


def test_clipping_acts_on_the_accumulated_gradient(run: Run, weights: Weights, float64: Data) -> None:
    """The norm is that of the whole step, not of each batch."""
    usual = {"data": float64, "model": "mlp", "epochs": 1, "limit_train": 200, "limit_test": 8, "clip_grad_norm": 0.1}
    large, small = run(batch_size=64, **usual), run(batch_size=16, accumulate=4, **usual)
    torch.testing.assert_close(weights(small.model), weights(large.model), atol=ROUNDING, rtol=0)


def test_a_closure_optimizer_steps_as_by_hand(
    run: Run, weights: Weights, hand_loop: HandLoop, float64: Data, registries: lossreg.Registries
) -> None:
    """LBFGS on a regression gives the weights of a plain loop, also from accumulated batches."""
    assert isinstance(float64.train, tuple)
    inputs = float64.train[0][:354, 0, 8:18, 14]  # a column of each image
    samples = inputs, inputs.square().sum(dim=1, keepdim=True)
    data = Data(samples, samples, "regression", (10,), out_features=1)
    usual = {"data": data, "loss": "mse", "optimizer": "lbfgs(max_iter=4)", "epochs": 2, "registries": registries}
    hand, ours, accumulated = (nn.Linear(10, 1) for _ in range(3))
    for model in (ours, accumulated):
        model.load_state_dict(hand.state_dict())
    run(model=ours, batch_size=354, **usual)
    run(model=accumulated, batch_size=100, accumulate=4, **usual)
    optimizer = torch.optim.LBFGS(hand.parameters(), max_iter=4)
    hand_loop(hand, functional.mse_loss, optimizer, samples, epochs=2, batch_size=354)
    torch.testing.assert_close(weights(ours), weights(hand), atol=ROUNDING, rtol=0)
    torch.testing.assert_close(weights(accumulated), weights(hand), atol=ROUNDING, rtol=0)


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


def test_a_gradient_that_comes_later_is_no_error(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, caplog: pytest.LogCaptureFixture
) -> None:
    """Where a parameter gets its first gradient later, which fused SGD cannot take, it steps as a hand loop does."""
    torch.manual_seed(0)
    ours, hand = Late(), Late()
    hand.load_state_dict(ours.state_dict())
    with caplog.at_level(logging.WARNING):
        run(model=ours, epochs=1, limit_train=256, limit_test=8)
    assert "the optimizer is not fused" in caplog.text
    optimizer = torch.optim.SGD(hand.parameters(), lr=0.01, momentum=0.9)  # not fused, as the run's
    hand_loop(hand, functional.cross_entropy, optimizer, (digits[0][:256], digits[1][:256]))
    assert weights(ours).equal(weights(hand))


def test_sparse_gradients_train(run: Run) -> None:
    """A sparse embedding trains with SGD, whose fused form does not take its gradients."""
    tokens = torch.arange(64).view(16, 4)
    data = Data((tokens, tokens[:, 0] % 2), (tokens, tokens[:, 0] % 2), "classification", (4,), num_classes=2)
    model = nn.EmbeddingBag(64, 2, sparse=True)
    before = model.weight.detach().clone()
    run(data=data, model=model, optimizer="sgd(momentum=0.0)", epochs=1)
    assert not model.weight.equal(before)
