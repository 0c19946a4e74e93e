"""Learning rates: by epoch, by step, from a metric."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest
import torch
from torch import Tensor, nn
from torch.optim.lr_scheduler import StepLR

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Weights


def test_one_cycle_takes_the_steps_of_the_run(run: Run, registries: lossreg.Registries) -> None:
    """OneCycleLR gets total_steps, which counts steps of the optimizer, and has the rates of torch's own."""
    result = run(
        model="mlp", optimizer="sgd(momentum=0.9)", scheduler="one_cycle(max_lr=0.1)", epochs=2, limit_train=200,
        limit_test=8, batch_size=25, accumulate=2, log_every=1, registries=registries,
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


class Blind(nn.Module):
    """Gives NaN in evaluation, after the checks."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(784, 10)

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


def test_a_scheduler_that_follows_a_metric(run: Run, registries: lossreg.Registries) -> None:
    """ReduceLROnPlateau gets the metric that its record names: with rate 0 it never improves, and the rate falls."""
    result = run(
        model="mlp", optimizer="sgd(lr=1e-30)", scheduler="plateau(factor=0.5, eps=0.0)", epochs=4, limit_train=64,
        limit_test=8, registries=registries,
    )  # fmt: skip
    assert [row["lr"] for row in result.metrics] == pytest.approx([1e-30, 1e-30, 5e-31, 2.5e-31])


def test_a_scheduler_of_another_optimizer_is_refused(run_table: Run) -> None:
    """A scheduler object that would move another optimizer's rate is an error."""
    model = nn.Linear(4, 3)
    ours, other = (torch.optim.SGD(model.parameters(), lr=1.0) for _ in range(2))
    scheduler = torch.optim.lr_scheduler.ExponentialLR(other, 0.1)
    with pytest.raises(lossreg.ConfigError, match="belongs to another optimizer"):
        run_table(model=model, optimizer=ours, scheduler=scheduler)


def test_a_rate_of_zero_leaves_the_weights_alone_and_is_warned_of(
    run: Run, weights: Weights, caplog: pytest.LogCaptureFixture
) -> None:
    """Two epochs of `epoch // 2` have rate 0: the weights stay, and a warning said so."""
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    before = weights(model)
    run(model=model, scheduler="lambda_lr(lr_lambda='epoch // 2')", epochs=2, limit_train=128)
    assert before.equal(weights(model))
    assert "the learning rate is 0 in every epoch" in caplog.text


def test_the_rates_of_the_tutorial(run: Run) -> None:
    """`epoch // 2` over 20 epochs at 0.01 gives 0, 0, 0.01, 0.01, ... 0.09, 0.09, in every row."""
    result = run(model="mlp", scheduler="lambda_lr(lr_lambda='epoch // 2')", epochs=20, limit_train=64, limit_test=8)
    assert [row["lr"] for row in result.metrics] == pytest.approx([0.01 * (epoch // 2) for epoch in range(20)])


def test_a_schedule_that_counts_steps(run: Run) -> None:
    """With the interval `step` the rate changes after every step, and counts from 0."""
    result = run(
        model="mlp", scheduler="lambda_lr(lr_lambda='step')", scheduler_interval="step", epochs=2, limit_train=160,
        batch_size=64, log_every=1,
    )  # fmt: skip
    rows = [json.loads(line) for line in (result.directory / "metrics.jsonl").read_text().splitlines()]
    rates = [row["lr"] for row in rows if row["kind"] == "step"]
    assert rates == pytest.approx([0.01 * step for step in range(6)])


@pytest.mark.parametrize("epochs", [1, 3])
def test_a_scheduler_does_not_step_after_the_last_epoch(run: Run, epochs: int) -> None:
    """A run of n epochs steps its scheduler n - 1 times, so that the optimizer keeps the last epoch's rate."""
    made: list[StepLR] = []

    def make(optimizer: torch.optim.Optimizer) -> StepLR:
        made.append(StepLR(optimizer, step_size=1, gamma=0.5))
        return made[-1]

    result = run(model="mlp", optimizer="sgd(lr=1.0)", scheduler=make, epochs=epochs, limit_train=64, limit_test=8)
    assert made[-1].last_epoch == epochs - 1
    assert made[-1].get_last_lr() == [result.final["lr"]] == [0.5 ** (epochs - 1)]
