"""Functions and classes in the place of an optimizer or a scheduler: what they lack is an error that says it."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data
from tests.table import for_each


def plan(**arguments: Any) -> Any:
    """A plan for a small table."""
    pair = (torch.zeros(8, 4), torch.arange(8) % 3)
    data = Data(pair, pair, "classification", (4,), num_classes=3)
    return lossreg.plan(data=data, model=nn.Linear(4, 3), device="cpu", **arguments)


class Needy(torch.optim.SGD):
    """An optimizer with two parameters that have no default."""

    def __init__(self, params: Any, rate: float, *, decay: float) -> None:
        super().__init__(params, lr=rate, weight_decay=decay)


def test_a_scheduler_class_that_needs_more_is_refused() -> None:
    """The message names the argument, the class, its parameters, what is missing, and what to write."""
    with pytest.raises(lossreg.ConfigError) as caught:
        plan(scheduler=torch.optim.lr_scheduler.StepLR)
    assert caught.value.message == (
        "scheduler=torch.optim.lr_scheduler.StepLR is called with the optimizer alone, but "
        "StepLR(optimizer, step_size, gamma=0.1, last_epoch=-1) also needs step_size; write "
        "scheduler=lambda optimizer: StepLR(optimizer, step_size=...)"
    )


def test_an_optimizer_class_that_needs_more_is_refused() -> None:
    """All that is missing is named, arguments by keyword too."""
    with pytest.raises(lossreg.ConfigError) as caught:
        plan(optimizer=Needy)
    assert "Needy is called with the parameters alone, but Needy(params, rate, *, decay) also needs rate and decay" in (
        caught.value.message
    )
    assert caught.value.message.endswith("write optimizer=lambda parameters: Needy(parameters, rate=..., decay=...)")


@for_each("field", ["optimizer", "scheduler"])
def test_a_function_without_parameters_is_refused(field: str) -> None:
    """It cannot be called with what it is to be made of."""
    with pytest.raises(lossreg.ConfigError, match=rf"{field}=.*does not take: too many positional arguments"):
        plan(**{field: lambda: None})


@pytest.mark.parametrize("error", [TypeError("inside"), ValueError("bad rate"), SystemExit(0)])
@pytest.mark.parametrize("field", ["optimizer", "scheduler"])
def test_what_it_raises_is_told_with_its_name(field: str, error: BaseException) -> None:
    """An error of the function itself is a BuildError, as of a component by name, with the error as its cause."""

    def broken(argument: object) -> None:
        raise error

    with pytest.raises(lossreg.BuildError) as caught:
        plan(**{field: broken})
    assert f"{field}=" in caught.value.message
    assert f"broken fails when it is called with the {'parameters' if field == 'optimizer' else 'optimizer'}: " in (
        caught.value.message
    )
    assert str(error) in caught.value.message
    assert caught.value.__cause__ is error


def test_what_needs_nothing_more_makes_the_part() -> None:
    """Classes with defaults, and functions with further defaults or with any arguments, are called."""
    for optimizer in (torch.optim.SGD, torch.optim.AdamW, lambda p, lr=0.1: torch.optim.SGD(p, lr=lr)):
        plan(optimizer=optimizer, scheduler=lambda *args: torch.optim.lr_scheduler.ExponentialLR(args[0], 0.5))
