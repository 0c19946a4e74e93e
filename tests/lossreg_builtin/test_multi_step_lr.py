"""multi_step_lr: torch's rates, and milestones that are whole numbers."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from torch.optim import lr_scheduler as torch_s

import lossreg
from tests.table import for_each


def rates(schedule: str, epochs: int) -> list[float]:
    """The rate of each epoch, from 0.3 on."""
    planned = lossreg.plan(optimizer="sgd(lr=0.3)", scheduler=schedule, epochs=epochs, limit_train=64).learning_rates
    return [first for first, _ in planned or []]


def test_the_rates_are_those_of_torch_in_any_order_of_milestones() -> None:
    """Milestones that do not increase, and one twice, move the rate as torch's MultiStepLR does."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    schedule = torch_s.MultiStepLR(optimizer, [5, 2, 5], gamma=0.5)
    expected = []
    for _ in range(8):
        expected.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        schedule.step()
    assert rates("multi_step(milestones=[5, 2, 5], gamma=0.5)", 8) == expected


@for_each("milestones", ["['50%']", "[-3]", "[0]", "[2.5]", "[True]", "5"])
def test_a_milestone_that_never_comes_is_an_error(milestones: str) -> None:
    """Torch takes these, and leaves the rate as it is for the whole run (or fails with a TypeError)."""
    with pytest.raises(lossreg.LossregError, match=r"multi_step_lr: (a milestone=|milestones=)"):
        rates(f"multi_step(milestones={milestones})", 8)


def test_whole_numbers_of_numpy_are_milestones() -> None:
    """What computes milestones may give numpy's integers."""
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.3)
    made = lossreg.schedulers.build("multi_step_lr", optimizer, milestones=list(np.array([2, 4])))
    assert sorted(vars(made)["milestones"]) == [2, 4]
