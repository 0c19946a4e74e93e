"""Python objects that take the place of others when a run goes on."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import nn
from torch.optim import SGD, Adam, lr_scheduler

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.resume.conftest import BreakOff, Finish


def adam(params: Any) -> Adam:
    """The one that the run begins with."""
    return Adam(params, lr=0.01)


def step_lr(optimizer: Any) -> lr_scheduler.StepLR:
    """The one that the run begins with."""
    return lr_scheduler.StepLR(optimizer, 1, 0.5)


class First(nn.CrossEntropyLoss):
    """The one that the run begins with."""


class Second(nn.CrossEntropyLoss):
    """Another one."""


def files(directory: Path) -> dict[Path, bytes]:
    """What a directory holds."""
    return {one: one.read_bytes() for one in directory.rglob("*") if one.is_file()}


BEGUN: dict[str, Any] = {"optimizer": adam, "scheduler": step_lr, "loss": First}


def parts(**others: Any) -> dict[str, Any]:
    """The objects of a run."""
    made = {**BEGUN, **others}
    return {**made, "loss": made["loss"]()}


@pytest.mark.parametrize(
    ("others", "said"),
    [
        ({"optimizer": lambda params: SGD(params, lr=0.1)}, "it is that of Adam, and the optimizer is SGD here"),
        ({"scheduler": lambda of: lr_scheduler.ExponentialLR(of, 0.5)}, "was StepLR and is ExponentialLR"),
        ({"scheduler": None}, "the scheduler was StepLR and is none"),
        ({"loss": Second}, f"loss was {__name__}.First and is {__name__}.Second"),
    ],
    ids=["optimizer", "scheduler", "no scheduler", "loss"],
)
def test_an_object_of_another_class_is_refused(
    finish: Finish, break_off: BreakOff, caplog: pytest.LogCaptureFixture, others: Any, said: str
) -> None:
    """Both are named, no file changes, and the run goes on with the one that it began with; or by `override`."""
    directory = break_off(6, **parts())
    before = files(directory)
    with pytest.raises(lossreg.ConfigError) as refused:
        finish(resume=directory, **parts(**others))
    assert said in str(refused.value)
    assert files(directory) == before
    with caplog.at_level(logging.WARNING, "lossreg"):
        assert finish(resume=directory, override=True, **parts(**others)).state["steps"] == 12
    assert said in caplog.text


def test_another_scheduler_begins_at_the_place_of_the_run(finish: Finish, break_off: BreakOff) -> None:
    """With `override` its rates are those that it would have given: 0.1 times 0.5 for each epoch."""
    directory = break_off(6, optimizer="sgd(lr=0.1)", scheduler=step_lr)
    longer = finish(
        resume=directory, scheduler=lambda of: lr_scheduler.LambdaLR(of, lambda epoch: 0.5**epoch), override=True
    )
    assert longer.rows[-1]["lr"] == pytest.approx(0.1 * 0.5**2)


def test_options_that_a_checkpoint_of_before_lacks_are_told() -> None:
    """Where the class is not in the checkpoint, the options of the groups tell that the state does not fit."""
    from lossreg.training.resume.optimizer_state import load_named_state, named_state

    weight = nn.Parameter(torch.ones(2))
    saved: dict[str, Any] = named_state(Adam([weight]), {"weight": weight})
    del saved["classes"]
    with pytest.raises(lossreg.ConfigError, match=r"its groups have no dampening, momentum, which SGD needs"):
        load_named_state(SGD([weight], lr=0.1), saved, {"weight": weight})
    assert load_named_state(Adam([weight]), saved, {"weight": weight}) == []
