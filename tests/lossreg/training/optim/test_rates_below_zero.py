"""A schedule that makes a rate negative, or no number, is refused before the run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command


@for_each(
    ("scheduler", "epoch"),
    [
        ("exponential(gamma=-1.0)", 1),
        ("one_cycle(max_lr=-0.1)", 0),
        ("cosine(eta_min=-0.1)", 1),
        ("cyclic(base_lr=0.01, max_lr=-0.5, step_size_up=8, cycle_momentum=False)", 0),
        ("warmup(step_lr(step_size=1, gamma=-0.5), length=2)", 3),
    ],
)
def test_a_negative_rate_is_an_error_that_names_scheduler_and_epoch(scheduler: str, epoch: int) -> None:
    """Of four epochs, the one is named in which the rate is first below 0; at steps in its middle, too."""
    with pytest.raises(lossreg.ConfigError) as error:
        lossreg.plan(scheduler=scheduler, epochs=4, limit_train=256)
    assert str(error.value).startswith("scheduler ")
    assert f", in epoch {epoch}; a rate is at least 0" in str(error.value)


@for_each(("factor", "said"), [(-1.0, "is -0.01"), (float("nan"), "is nan")])
def test_a_function_that_makes_a_scheduler_is_checked_too(factor: float, said: str) -> None:
    """Expressions check their own values; a function of Python does not."""

    def make(optimizer: torch.optim.Optimizer) -> torch.optim.lr_scheduler.LambdaLR:
        return torch.optim.lr_scheduler.LambdaLR(optimizer, lambda epoch: factor if epoch == 2 else 1.0)

    with pytest.raises(lossreg.ConfigError, match=f"the learning rate {said}.*, in epoch 2; a rate is at least 0"):
        lossreg.plan(scheduler=make, epochs=4, limit_train=64)


def test_a_negative_rate_of_an_optimizer_s_own_scheduler_is_an_error() -> None:
    """The schedulers of members are walked like that of the run."""
    groups: dict[str, Any] = {"*.bias": "adam(scheduler=exponential(gamma=-1.0))"}
    with pytest.raises(
        lossreg.ConfigError, match=r"scheduler exponential_lr\(gamma=-1.0\): the learning rate is -0.001"
    ):
        lossreg.plan(param_groups=groups, epochs=2, limit_train=64)


@pytest.mark.parametrize("ends", ["linear(start_factor=1.0, end_factor=0.0)", "polynomial(power=3.0)", "cosine"])
@pytest.mark.parametrize("epochs", [7, 30, 97])
def test_what_ends_in_zero_by_rounding_is_none(ends: str, epochs: int) -> None:
    """Recursive formulas of torch end beside 0, on either side of it."""
    planned = lossreg.plan(scheduler=f"chained({ends})", epochs=epochs, limit_train=64).learning_rates
    assert planned is not None
    assert len(planned) == epochs


def test_a_run_is_refused_without_a_directory(lossreg_command: Command, tmp_path: Path) -> None:
    """The command ends with exit code 2, and nothing is written."""
    outcome = lossreg_command("run", "--sched", "one_cycle(max_lr=-0.1)", "--limit-train", "64", "--out", "here")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("lossreg: error: scheduler one_cycle_lr(max_lr=-0.1): the learning rate is -0.004")
    assert not (tmp_path / "here").exists()
