"""Schedules that go on in a longer loop from a state with another rate than the text of the optimizer now has."""

from __future__ import annotations

import copy
import logging
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch.optim.lr_scheduler import StepLR

import lossreg
from tests.table import for_each

SCHEDULES = [
    "cosine",
    "linear",
    "step_lr(step_size=1)",
    "polynomial",
    "warmup(cosine, length=1)",
    "sequential(linear(total_iters=3), cosine, milestones=[3])",
    "lambda_lr(lr_lambda='1 - epoch / epochs')",
    "chained(cosine, exponential(gamma=0.9))",
    "cosine_warm_restarts(T_0=3)",
    "one_cycle(max_lr=0.5)",
]

Both = tuple[Any, Any]


def made(scheduler: Any, rate: float = 0.1, epochs: int = 4, optimizer: str = "sgd(lr={})") -> Both:
    """An optimizer with two groups, and its schedule."""
    parts = lossreg.parts(
        optimizer=optimizer.format(rate),
        scheduler=scheduler,
        epochs=epochs,
        steps_per_epoch=1,
        param_groups={"*bias": "lr=x0.5"},
    )
    built = parts.optimizer(torch.nn.Sequential(*(torch.nn.Linear(*shape) for shape in ((3, 4), (4, 4), (4, 2)))))
    return built, parts.scheduler(built)


def rates(both: Both, epochs: int) -> list[float]:
    """Those of all groups in some epochs, one behind the other."""
    seen = []
    for _ in range(epochs):
        seen += [float(group["lr"]) for group in both[0].param_groups]
        both[0].step()
        both[1].step()
    return seen


def resumed(short: Both, long: Both, order: tuple[int, ...]) -> Both:
    """The states of one loop in another one; 0 is that of the optimizer, 1 that of the schedule."""
    states = [copy.deepcopy(one.state_dict()) for one in short]
    for place in order:
        long[place].load_state_dict(states[place])
    return long


@for_each("order", [(0, 1), (1, 0)])
@for_each("scheduler", SCHEDULES)
def test_a_longer_loop_goes_on_from_the_first_rate_of_the_state(scheduler: str, order: tuple[int, ...]) -> None:
    """Its rates are those of a straight training of that length and with that rate."""
    short = made(scheduler)
    rates(short, 2)
    seen = rates(resumed(short, made(scheduler, rate=0.7, epochs=8), order), 6)
    straight = rates(made(scheduler, epochs=8), 8)[2 * 2 :]
    assert seen == pytest.approx(straight)


@for_each("scheduler", [*SCHEDULES, "constant(factor=0.5, total_iters=5)", "cyclic(base_lr=0.01, max_lr=0.1)"])
def test_a_schedule_that_is_built_behind_a_state_goes_on(scheduler: str) -> None:
    """Building it sets rates, and for some momentum, as at its beginning; its state has those of where it goes on."""
    settings: dict[str, Any] = {"scheduler": scheduler, "epochs": 6, "steps_per_epoch": 1}
    parts = lossreg.parts(optimizer="sgd(lr=0.1, momentum=0.8)", **settings)
    straight = parts.optimizer(torch.nn.Linear(3, 4))
    schedule: Any = parts.scheduler(straight)
    rates((straight, schedule), 3)
    states = copy.deepcopy((straight.state_dict(), schedule.state_dict()))
    built = parts.optimizer(torch.nn.Linear(3, 4))
    built.load_state_dict(states[0])
    behind: Any = parts.scheduler(built)
    behind.load_state_dict(states[1])
    assert built.param_groups[0]["momentum"] == pytest.approx(straight.param_groups[0]["momentum"])
    assert rates((built, behind), 3) == pytest.approx(rates((straight, schedule), 3))


@for_each("order", [(0, 1), (1, 0)])
@for_each(
    "optimizer",
    [
        "muon(lr={}, rest=adamw(lr=0.3), scheduler='warmup(cosine, length=1)')",
        "muon(lr={}, rest=adamw(lr=0.3, scheduler='exponential(gamma=0.5)'))",
    ],
)
def test_each_of_several_schedules_does(optimizer: str, order: tuple[int, ...]) -> None:
    """Also beside one that does not go by the length, which goes on from its own state."""
    short = made("warmup(cosine, length=1)", optimizer=optimizer)
    rates(short, 2)
    long = made("warmup(cosine, length=1)", rate=0.7, epochs=8, optimizer=optimizer)
    seen = rates(resumed(short, long, order), 6)
    straight = rates(made("warmup(cosine, length=1)", epochs=8, optimizer=optimizer), 8)[-len(seen) :]
    assert seen == pytest.approx(straight)


@for_each("again", [copy.deepcopy, lambda both: pickle.loads(pickle.dumps(both))])  # noqa: S301  # it is our own
def test_a_copy_does(again: Callable[[Both], Both]) -> None:
    """Copies build their schedule again as it was built."""
    scheduler = "lambda_lr(lr_lambda='1 - epoch / epochs')"
    short = made(scheduler)
    rates(short, 2)
    seen = rates(resumed(short, again(made(scheduler, rate=0.7, epochs=8)), (0, 1)), 1)
    assert seen == pytest.approx([0.1 * 6 / 8, 0.05 * 6 / 8])


def test_the_rate_that_the_warning_compares_is_that_of_the_state(caplog: pytest.LogCaptureFixture) -> None:
    """And not that of the text, which no step had."""
    short = made("cosine")
    rates(short, 2)
    with caplog.at_level(logging.WARNING, "lossreg"):
        made("cosine", rate=0.7, epochs=8)[1].load_state_dict(short[1].state_dict())
    assert caplog.messages[-1].endswith("is now one for 8: its rate goes on at 0.0853553 instead of 0.05")


def test_a_rate_that_is_a_tensor_stays_one() -> None:
    """A compiled step knows the tensor."""
    short, long = (made("cosine", epochs=epochs, optimizer="adamw(lr={})", rate=0.1) for epochs in (4, 8))
    for group in long[0].param_groups:
        group["lr"], group["initial_lr"] = torch.tensor(0.7), torch.tensor(0.7)
    rate = long[0].param_groups[0]["lr"]
    rates(short, 2)
    long[1].load_state_dict(short[1].state_dict())
    assert long[0].param_groups[0]["lr"] is rate
    assert float(rate) == pytest.approx(0.0853553)


def test_a_schedule_that_is_an_object_goes_on_in_proportion() -> None:
    """It cannot be built again: a second load has it stand where it was given, not two steps later."""
    optimizer = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.8)
    scheduler: Any = lossreg.parts(scheduler=StepLR(optimizer, 1, gamma=0.5), epochs=4).scheduler(optimizer)
    scheduler.begin_after(2)
    assert scheduler.get_last_lr() == pytest.approx([0.2])
    state = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.4).state_dict()
    optimizer.load_state_dict(state)
    assert scheduler.get_last_lr() == pytest.approx([0.2])
    state["param_groups"][0]["initial_lr"] = 0.4
    optimizer.load_state_dict(state)
    assert scheduler.get_last_lr() == pytest.approx([0.1])
