"""Schedules that go on from the state of a loop with other epochs, or that are not those of the state."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import torch

import lossreg
from lossreg.run_spec import Interval
from tests.table import for_each


class Loop:
    """A loop that steps a schedule, with some steps in an epoch."""

    def __init__(self, scheduler: str | None, each: Interval, per_epoch: int, epochs: int = 4, **texts: Any) -> None:
        self.parts = lossreg.parts(
            optimizer="sgd(lr=1.0)", scheduler=scheduler, epochs=epochs, steps_per_epoch=per_epoch, **texts
        )
        self.optimizer = self.parts.optimizer(torch.nn.Linear(2, 1))
        built = self.parts.scheduler(self.optimizer, each=each)
        assert built is not None
        self.scheduler: Any = built

    def stepped(self, calls: int) -> Loop:
        """The loop after some calls of `scheduler.step()`."""
        for _ in range(calls):
            self.optimizer.step()
            self.scheduler.step()
        return self

    def going_on_from(self, other: Loop) -> Loop:
        """The loop with the states of another one."""
        self.optimizer.load_state_dict(other.optimizer.state_dict())
        self.scheduler.load_state_dict(other.scheduler.state_dict())
        return self

    @property
    def rate(self) -> float:
        """The rate of the next step."""
        return float(self.optimizer.param_groups[0]["lr"])


def cosine(part: float) -> float:
    """Half a cosine, from 1 to 0."""
    return 0.5 * (1 + math.cos(math.pi * part))


@for_each(
    ("interval", "was", "now", "goes_on_by", "part"),
    [
        ("epoch", 4, 8, "epoch", 2 / 4),  # 8 steps were 2 of 4 epochs, and are so
        ("epoch", 4, 2, "epoch", 2 / 4),
        ("step", 4, 8, "epoch", 16 / 32),
        ("step", 4, 2, "epoch", 4 / 8),
        ("epoch", 4, 8, "step", 1 / 4),  # 8 steps are 1 of 4 epochs
        ("step", 4, 8, "step", 8 / 32),
        ("epoch", 4, 4, "epoch", 2 / 4),
    ],
)
def test_epochs_of_another_number_of_steps(
    interval: Interval, was: int, now: int, goes_on_by: Interval, part: float
) -> None:
    """After 8 steps of 4 epochs the rate is that of as many epochs, or, where a host counts steps, of as many steps."""
    other = Loop("cosine", "step", now, scheduler_interval=interval)
    other.scheduler.goes_on_by = goes_on_by
    other.going_on_from(Loop("cosine", "step", was, scheduler_interval=interval).stepped(8))
    assert other.rate == pytest.approx(cosine(part))


@for_each("scheduler", ["cosine", "step_lr(step_size=1)", "warmup(cosine, length=1)"])
def test_the_rest_of_the_epochs_is_that_of_a_straight_run(scheduler: str) -> None:
    """After 2 epochs of 4 steps come 2 of 8, with the rates of epochs 2 and 3."""
    straight = Loop(scheduler, "step", 8)
    resumed = Loop(scheduler, "step", 8).going_on_from(Loop(scheduler, "step", 4).stepped(8))
    straight.stepped(16)
    for _ in range(2):
        assert resumed.rate == pytest.approx(straight.rate)
        resumed.stepped(8)
        straight.stepped(8)


def test_both_numbers_of_steps_are_told(caplog: pytest.LogCaptureFixture) -> None:
    """And where the schedule goes on."""
    with caplog.at_level(logging.WARNING, "lossreg"):
        Loop("cosine", "step", 8).going_on_from(Loop("cosine", "step", 4).stepped(4))
    assert "cosine_annealing_lr is that of a loop that steps it 4 times an epoch, and this one does so 8" in caplog.text
    assert "it goes on after 1 epochs, at the rate 0.853553" in caplog.text


def test_a_state_of_an_earlier_version_says_its_steps_where_epochs_are_counted() -> None:
    """It has them as the calls for each step of the schedule."""
    was = Loop("cosine", "step", 4).stepped(8)
    state = was.scheduler.state_dict()
    del state["calls_per_epoch"], state["schedules"][0]["interval"]
    now = Loop("cosine", "step", 8)
    now.scheduler.load_state_dict(state)
    assert now.scheduler.last_epoch == 16


def test_a_schedule_without_a_length_goes_on_behind_the_last_epoch() -> None:
    """It is not stepped after the last of 2 epochs; with 4 epochs the rate of the third is a hundredth."""
    made = [Loop("step_lr(step_size=1)", "epoch", 3, epochs) for epochs in (2, 4)]
    assert made[1].going_on_from(made[0].stepped(2)).rate == pytest.approx(0.01)


@for_each(("was", "now"), [("epoch", "step"), ("step", "epoch")])
def test_a_schedule_that_counts_something_else_is_refused(was: Interval, now: Interval) -> None:
    """Its numbers would be taken for others."""
    loops = [Loop("cosine", "step", 4, scheduler_interval=one) for one in (was, now)]
    with pytest.raises(
        lossreg.StateError, match=f"counts {was}s, and this one counts {now}s: write scheduler_interval='{was}'"
    ):
        loops[1].going_on_from(loops[0])


@for_each(
    ("was", "now", "wanted"),
    [
        ("cosine", None, "the scheduler builtin.cosine_annealing_lr, and the parts of now have none"),
        (None, "cosine", "a constant rate, and the parts of now have the scheduler builtin.cosine_annealing_lr"),
        ("cosine", "cosine", ""),
        (None, None, ""),
        ("cosine", "step_lr(step_size=1)", ""),  # the schedule's own state tells
    ],
)
def test_the_state_of_an_optimizer_says_whether_there_was_a_schedule(
    was: str | None, now: str | None, wanted: str, caplog: pytest.LogCaptureFixture
) -> None:
    """A loop without a schedule loads no state of one, so nothing else would say it."""
    built = [lossreg.parts(scheduler=one, epochs=3).optimizer(torch.nn.Linear(2, 1)) for one in (was, now)]
    caplog.clear()
    built[1].load_state_dict(built[0].state_dict())
    assert [wanted in record.getMessage() for record in caplog.records] == ([True] if wanted else [])


@for_each(
    ("scheduler", "each", "calls"),
    [("cosine", "epoch", 2), ("cosine", "step", 4), ("step_lr(step_size=1)", "epoch", 1)],
)
def test_a_loop_says_where_it_goes_on(scheduler: str, each: Interval, calls: int) -> None:
    """Without a state of the schedule: its rate is that of a straight run, whatever the state of the optimizer says."""
    straight, resumed = (Loop(scheduler, each, 2) for _ in range(2))
    straight.stepped(calls)
    resumed.optimizer.load_state_dict(straight.optimizer.state_dict())
    resumed.scheduler.begin_after(calls)
    for _ in range(3):
        assert resumed.rate == pytest.approx(straight.rate)
        resumed.stepped(1)
        straight.stepped(1)


def test_where_a_loop_goes_on_is_a_number() -> None:
    """A schedule that follows a metric has to have seen it."""
    for wrong in (-1, "2", True, None):
        with pytest.raises(lossreg.ConfigError, match="begin_after takes a number of epochs or steps"):
            Loop("cosine", "epoch", 2).scheduler.begin_after(wrong)
    with pytest.raises(lossreg.ConfigError, match="a schedule that follows loss goes on from its state alone"):
        Loop("reduce_lr_on_plateau(monitor='loss')", "epoch", 2).scheduler.begin_after(1)
