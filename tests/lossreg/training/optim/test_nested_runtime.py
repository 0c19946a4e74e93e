"""What the loop knows reaches components that stand inside of another's spec."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from torch.optim import Optimizer
from torch.optim.lr_scheduler import ConstantLR, CosineAnnealingLR, LRScheduler, SequentialLR

import lossreg
from lossreg import Registries


def sequential(optimizer: Optimizer, schedulers: Sequence[LRScheduler], milestones: Sequence[int]) -> SequentialLR:
    """SequentialLR of torch, which takes lists."""
    return SequentialLR(optimizer, list(schedulers), list(milestones))


@pytest.fixture
def registries() -> Registries:
    """The built-ins, with schedulers of torch; cosine's T_max is what the loop counts."""
    made = lossreg.load_registries(allow=[])
    made.schedulers.register("sequential")(sequential)
    made.schedulers.register("constant", defaults={"total_iters": 1})(ConstantLR)
    made.schedulers.register("cosine", runtime_args={"T_max": "epochs"})(CosineAnnealingLR)
    return made


NESTED = "sequential(schedulers=[constant(factor=1.0), lambda_lr(lr_lambda='1/(1+epoch)')], milestones=[1])"
SMALL: dict[str, Any] = {
    "data": "diabetes", "limit_train": 6, "limit_test": 2, "batch_size": 2, "epochs": 3, "device": "cpu",
    "optimizer": "sgd(lr=1e-4)",
}  # fmt: skip


def expected(*, steps: bool) -> list[float]:
    """The rates of the three epochs' last steps, from the definition: `epoch` counts epochs from the milestone on."""
    if not steps:  # epoch 0 is constant's, 1 and 2 are the expression's epochs 0 and 1
        return [1e-4, 1e-4 / (1 + 0), 1e-4 / (1 + 1)]
    # Step 0 is constant's; the last steps of the epochs, 2, 5 and 8, are its steps 1, 4 and 7, in epochs 0, 1 and 2.
    return [1e-4 / (1 + step // 3) for step in (1, 4, 7)]


@pytest.mark.parametrize("interval", ["step", "epoch"])
def test_a_nested_expression_counts_epochs(tmp_path: Path, registries: Registries, interval: str) -> None:
    """`epoch` in a nested lambda_lr is an epoch, whatever the scheduler counts, in a plan and in a run."""
    arguments = {**SMALL, "scheduler": NESTED, "scheduler_interval": interval, "registries": registries}
    rates = expected(steps=interval == "step")
    plan = lossreg.plan(**arguments)
    assert plan.learning_rates is not None
    assert [last for _, last in plan.learning_rates] == pytest.approx(rates)
    result = lossreg.run(**arguments, out=tmp_path / "out", quiet=True)
    assert [row["lr"] for row in result.metrics] == pytest.approx(rates)


def test_a_nested_parameter_comes_from_the_loop(tmp_path: Path, registries: Registries) -> None:
    """A nested cosine gets T_max from the number of epochs, as one that stands alone does."""
    nested = "sequential(schedulers=[cosine(), constant(factor=0.5)], milestones=[3])"
    arguments = {**SMALL, "registries": registries}
    alone, inside = (lossreg.plan(**arguments, scheduler=spec).learning_rates for spec in ("cosine()", nested))
    assert alone is not None
    own = CosineAnnealingLR(torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=1e-4), T_max=3)
    rates = []
    for _ in range(3):
        rates.append(own.get_last_lr()[0])
        own.optimizer.step()
        own.step()
    assert [first for first, _ in alone] == pytest.approx(rates)
    assert alone == inside
    result = lossreg.run(**arguments, scheduler=nested, out=tmp_path / "out", quiet=True)
    assert [row["lr"] for row in result.metrics] == pytest.approx(rates)


def test_a_nested_parameter_that_is_set_wins(registries: Registries) -> None:
    """A nested T_max that the user wrote is not replaced by the loop's."""
    nested = "sequential(schedulers=[cosine(T_max=1), constant(factor=0.5)], milestones=[3])"
    plan = lossreg.plan(**SMALL, scheduler=nested, registries=registries)
    assert plan.learning_rates is not None
    assert [first for first, _ in plan.learning_rates] == pytest.approx([1e-4, 0.0, 1e-4])


def test_a_nested_interval_cannot_be_written(registries: Registries) -> None:
    """`interval` follows the loop in nested schedulers, too; what contradicts it is an error."""
    nested = NESTED.replace("lr_lambda=", "interval='epoch', lr_lambda=")
    with pytest.raises(lossreg.ConfigError, match="interval of lambda_lr follows the loop; set both with sched"):
        lossreg.plan(**SMALL, scheduler=nested, scheduler_interval="step", registries=registries)
