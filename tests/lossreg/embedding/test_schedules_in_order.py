"""Schedules in loops that step them in the wrong order, or more often than was said."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg.embedding.host_scheduler import HostScheduler
from tests.table import for_each


def made(**arguments: Any) -> tuple[nn.Module, torch.optim.Optimizer, HostScheduler]:
    """A model, its optimizer and its schedule."""
    parts = lossreg.parts(**{"optimizer": "sgd(lr=1.0, momentum=0)", "scheduler": "cosine", "epochs": 2, **arguments})
    model = nn.Linear(2, 2)
    optimizer = parts.optimizer(model)
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    return model, optimizer, scheduler


def gradients(model: nn.Module, value: float) -> None:
    """All are one value."""
    for parameter in model.parameters():
        parameter.grad = torch.full_like(parameter, value)


OWN = {
    "optimizer": "adam(scheduler=cosine())",
    "param_groups": {"bias": "sgd(lr=1.0)"},
    "scheduler": "step_lr(step_size=1)",
}


@for_each("arguments", [{}, {"param_groups": {"bias": "sgd(lr=0.1)"}}, OWN, {"optimizer": "lookahead(sgd)"}])
def test_a_step_before_the_optimizer_is_told_where_it_is_taken(arguments: dict[str, Any]) -> None:
    """Torch's schedulers tell it in the same words, so that a filter for these holds; the line is that of the loop."""
    model, optimizer, scheduler = made(**arguments)
    gradients(model, 1.0)
    with pytest.warns(UserWarning, match=r"^Detected call of `lr_scheduler.step\(\)` before") as told:
        scheduler.step()
    assert [one.filename for one in told] == [__file__]
    optimizer.step()
    scheduler.step()
    assert len(told) == 1


def loaded(model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: HostScheduler) -> None:
    """The state of an optimizer that has stepped in another process."""
    _, other, _ = made(optimizer="adam(lr=1.0)")
    for parameter in other.param_groups[0]["params"]:
        parameter.grad = torch.ones_like(parameter)
    other.step()
    optimizer.load_state_dict(other.state_dict())


def gone_on(model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: HostScheduler) -> None:
    """The state of a schedule that has stepped in another process."""
    scheduler.load_state_dict({**scheduler.state_dict(), "calls": 1})


def left_out(model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: HostScheduler) -> None:
    """A gradient scaler leaves out a step whose gradients are not finite."""
    scaler = torch.amp.GradScaler("cpu")
    gradients(model, float("inf"))
    scaler.scale(torch.ones(()))
    scaler.step(optimizer)
    scaler.update()


def stepped(model: nn.Module, optimizer: torch.optim.Optimizer, scheduler: HostScheduler) -> None:
    """The usual order."""
    optimizer.step()


@for_each("before", [stepped, loaded, gone_on, left_out])
def test_what_is_in_order_is_not_told(before: Callable[..., None]) -> None:
    """An optimizer that has stepped before, or whose step was left out, is followed by its schedule."""
    model, optimizer, scheduler = made(optimizer="adam(lr=1.0)")
    before(model, optimizer, scheduler)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        scheduler.step()


def test_a_loop_that_is_longer_than_was_said_is_told_once(caplog: pytest.LogCaptureFixture) -> None:
    """The step behind the last epoch is a usual one; the next is not, and the rate stays what it was."""
    _, optimizer, scheduler = made()
    rates = []
    for epoch in range(5):
        assert len(caplog.messages) == int(epoch > 2)
        rates.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([1.0, 0.5, 0.5, 0.5, 0.5])
    assert caplog.messages == [
        "the schedule cosine_annealing_lr was made for 2 epochs, and the loop has more of them: the rate stays as it "
        "is; write lossreg.parts(..., epochs=N)"
    ]


@for_each(
    "saved_after, wanted",
    [(2, "its rate goes on at 0.853553 instead of 0.5"), (0, "its rate goes on at 1")],
)
def test_another_length_says_both_rates_where_they_differ(
    saved_after: int, wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Half a cosine over 4 epochs is at (1 + cos(pi / 4)) / 2 behind the first; at the start it is where any is."""
    caplog.clear()
    _, optimizer, scheduler = made()
    for _ in range(saved_after // 2):
        optimizer.step()
        scheduler.step()
    state, rate = scheduler.state_dict(), optimizer.param_groups[0]["lr"]
    _, optimizer, scheduler = made(epochs=4)
    optimizer.param_groups[0]["lr"] = rate
    scheduler.load_state_dict(state)
    assert caplog.messages == [f"the schedule cosine_annealing_lr was made for 2 epochs and is now one for 4: {wanted}"]
