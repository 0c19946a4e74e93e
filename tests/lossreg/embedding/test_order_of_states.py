"""States of optimizer and schedule in any order, and those of trainings without a schedule."""

from __future__ import annotations

import copy
import logging
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each

SCHEDULES = ["cosine", "warmup(cosine, length=2)", "one_cycle(max_lr=0.5)", "cyclic(base_lr=0.01, max_lr=0.1)"]


def made(scheduler: str | None, optimizer: str = "sgd(lr=0.1)", epochs: int = 6) -> tuple[Any, Any]:
    """An optimizer of a small model, and its schedule."""
    parts = lossreg.parts(optimizer=optimizer, scheduler=scheduler, epochs=epochs, steps_per_epoch=1)
    built = parts.optimizer(nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2)))
    return built, parts.scheduler(built)


def rates(optimizer: Any, scheduler: Any, steps: int = 4) -> list[float]:
    """The rates of some steps."""
    seen = []
    for _ in range(steps):
        seen.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return seen


def plain_state() -> dict[str, Any]:
    """The state of an optimizer of torch alone."""
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 4), nn.Linear(4, 2))
    return torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9).state_dict()


@for_each(
    ("scheduler", "optimizer"),
    [
        *((scheduler, "sgd(lr=0.1)") for scheduler in SCHEDULES),
        ("warmup(cosine, length=2)", "lookahead(sgd(lr=0.1))"),
        ("warmup(cosine, length=2)", "muon(lr=0.1, rest=adamw)"),
    ],
)
def test_a_state_without_a_schedule_leaves_the_one_that_is_built(scheduler: str, optimizer: str) -> None:
    """The rates are those of the schedule, as if the state had been loaded before it was built."""
    expected = rates(*made(scheduler, optimizer))
    built, schedule = made(scheduler, optimizer)
    built.load_state_dict(made(None, optimizer)[0].state_dict())
    assert rates(built, schedule) == pytest.approx(expected)


@for_each("scheduler", SCHEDULES)
def test_a_state_of_torch_alone_leaves_it_too(scheduler: str) -> None:
    """Also where the schedule then begins after some epochs."""
    expected = rates(*made(scheduler), steps=5)
    for done in (0, 1, 2):
        built, schedule = made(scheduler)
        built.load_state_dict(plain_state())
        schedule.begin_after(done)
        assert rates(built, schedule, steps=3) == pytest.approx(expected[done : done + 3])


def test_the_other_options_are_those_of_the_state() -> None:
    """The rate alone is the schedule's."""
    built, _ = made("cosine")
    state = plain_state()
    state["param_groups"][0]["weight_decay"] = 0.5
    built.load_state_dict(state)
    assert built.param_groups[0]["weight_decay"] == 0.5


def test_the_warning_says_whose_the_rates_are(caplog: pytest.LogCaptureFixture) -> None:
    """Those of the schedule, if there is one already."""
    state = made(None)[0].state_dict()
    built, _ = made("cosine")
    with caplog.at_level(logging.WARNING, "lossreg"):
        built.load_state_dict(state)
    assert caplog.messages[0].endswith("its rates are those of the schedule")


@for_each("optimizer", ["sgd(lr=0.1)", "lookahead(sgd(lr=0.1))", "muon(lr=0.1, rest=adamw)"])
def test_more_epochs_have_the_same_rates_in_either_order(optimizer: str) -> None:
    """The state of the optimizer has the rate of the shorter training."""
    short = made("cosine", optimizer, epochs=4)
    rates(*short, steps=2)
    states = [one.state_dict() for one in short]
    seen = []
    for order in ((0, 1), (1, 0)):
        long = made("cosine", optimizer, epochs=8)
        for place in order:
            long[place].load_state_dict(states[place])
        seen.append(rates(*long))
    assert seen[0] == seen[1] == pytest.approx(rates(*made("cosine", optimizer, epochs=8), steps=6)[2:])


def test_rates_of_a_later_load_are_those_of_its_state() -> None:
    """After a step the order of resuming is over."""
    built, schedule = made("cosine", epochs=8)
    built.load_state_dict(plain_state())
    schedule.begin_after(2)
    rates(built, schedule, steps=1)
    state = built.state_dict()
    state["param_groups"][0]["lr"] = 0.03
    built.load_state_dict(state)
    assert built.param_groups[0]["lr"] == 0.03


@for_each(
    ("before", "calls", "message"),
    [
        ("begin", 2, "stands after 2 epochs already: call begin_after once"),
        ("step", 2, "stands after 1 epochs already"),
        ("nothing", 7, r"begin_after\(7\): the loop has 6 epochs in all"),
    ],
)
def test_a_schedule_begins_once_and_within_its_loop(before: str, calls: int, message: str) -> None:
    """It would be stepped on from where it is, or be at its end."""
    built, schedule = made("cosine")
    if before == "begin":
        schedule.begin_after(2)
    elif before == "step":
        rates(built, schedule, steps=1)
    with pytest.raises(lossreg.ConfigError, match=message):
        schedule.begin_after(calls)


@for_each(
    ("scheduler", "said", "is_hinted"),
    [
        ("lambda_lr(lr_lambda='epoc // 2')", "there is no name 'epoc'", False),
        ("lambda_lr(lr_lambda='1 - epoch / epochs')", "needs epochs", True),
        ("one_cycle", "needs max_lr", False),
        ("one_cycle(max_lr=0.1)", "You must define either total_steps", True),
    ],
)
def test_what_the_loop_could_say_is_told_where_it_helps(scheduler: str, said: str, is_hinted: bool) -> None:
    """A misspelt name, or a parameter that only the text has, is not of the loop."""

    def build() -> None:
        parts = lossreg.parts(optimizer="sgd(lr=0.1)", scheduler=scheduler)
        parts.scheduler(parts.optimizer(nn.Linear(2, 1)))

    with pytest.raises(lossreg.LossregError, match=said) as caught:
        build()
    assert ("what only your loop knows" in str(caught.value)) is is_hinted


RESTARTS = "cosine_warm_restarts(T_0=3)"
IN_TURN = "sequential(linear(total_iters=3), cosine, milestones=[3])"
POWERS = "lambda_lr(lr_lambda='0.9 ** epoch')"


@for_each(
    ("scheduler", "kept"),
    [
        *((one, 0.5) for one in ("cosine", "linear", "step_lr(step_size=1)", "exponential(gamma=0.5)", SCHEDULES[1])),
        *((one, 1.0) for one in (POWERS, RESTARTS, IN_TURN, *SCHEDULES[2:])),
    ],
)
def test_a_rate_that_is_set_by_hand_after_a_state_is_kept_or_put_back(scheduler: str, kept: float) -> None:
    """As in torch: what multiplies the rate of now keeps half of it in proportion, what goes by the first does not."""
    built, schedule = made(scheduler)
    rates(built, schedule, steps=2)
    states = copy.deepcopy((built.state_dict(), schedule.state_dict()))
    expected = rates(built, schedule)[1:]
    built, schedule = made(scheduler)
    built.load_state_dict(states[0])
    schedule.load_state_dict(states[1])
    built.param_groups[0]["lr"] *= 0.5
    assert rates(built, schedule)[1:] == pytest.approx([kept * rate for rate in expected])


@for_each("scheduler", ["cosine", "linear", "step_lr(step_size=1)", SCHEDULES[1], POWERS, RESTARTS, IN_TURN])
def test_a_schedule_that_is_built_again_has_the_rate_that_was_set(scheduler: str) -> None:
    """Half the first rate is half of each."""
    built, schedule = made(scheduler)
    rates(built, schedule, steps=2)
    state = built.state_dict()
    expected = rates(built, schedule)
    again, _ = made(None)
    again.load_state_dict(state)
    for group in again.param_groups:
        group["lr"] = group["initial_lr"] = 0.05
    new: Any = lossreg.parts(scheduler=scheduler, epochs=6, steps_per_epoch=1).scheduler(again)
    new.begin_after(2)
    assert rates(again, new) == pytest.approx([rate / 2 for rate in expected])
