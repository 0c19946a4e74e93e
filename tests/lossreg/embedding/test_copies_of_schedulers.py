"""A scheduler of parts as hosts treat it beside stepping it: copied, sent to other processes, looked at."""

from __future__ import annotations

import copy
import math
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch

import lossreg
from lossreg.embedding.host_scheduler import HostScheduler
from tests.table import for_each

EPOCHS = 4
#: Half a cosine from 1.
COSINE = [0.5 * (1 + math.cos(math.pi * epoch / EPOCHS)) for epoch in range(EPOCHS)]


def scheduler_of(text: str, **settings: Any) -> HostScheduler:
    """The scheduler of an optimizer whose rate is 1."""
    parts = lossreg.parts(**{"optimizer": "sgd(lr=1.0)", "scheduler": text, "epochs": EPOCHS, **settings})
    built = parts.scheduler(parts.optimizer(torch.nn.Linear(2, 1)))
    assert built is not None
    return built


def pickled(scheduler: HostScheduler) -> HostScheduler:
    """As another process gets it."""
    made: HostScheduler = pickle.loads(pickle.dumps(scheduler))  # noqa: S301  # it is our own
    return made


@pytest.mark.filterwarnings("ignore:Seems like `optimizer.step")  # as of a copied scheduler of torch
@for_each("copied", [copy.deepcopy, pickled])
@for_each("done", [0, 1, 2])
def test_a_copy_goes_on_where_the_scheduler_stands(copied: Callable[[HostScheduler], HostScheduler], done: int) -> None:
    """Before its first step and after: the copy moves the rate of its own optimizer, and the scheduler's stays."""
    scheduler = scheduler_of("cosine")
    for _ in range(done):
        scheduler.optimizer.step()
        scheduler.step()
    other = copied(scheduler)
    assert other.optimizer is not scheduler.optimizer
    assert (other.last_epoch, other.interval, other.calls_per_epoch) == (done, "epoch", 1)
    rates = []
    for _ in range(done, EPOCHS):
        rates += other.get_last_lr()
        other.optimizer.step()
        other.step()
    assert rates == pytest.approx(COSINE[done:])
    assert scheduler.get_last_lr() == [pytest.approx(COSINE[done])]
    assert scheduler.last_epoch == done


def test_the_base_rates_stay_those_before_the_schedule() -> None:
    """Of each group; also where the schedule begins below them, and after steps of it."""
    scheduler = scheduler_of("linear(start_factor=0.5, total_iters=2)", param_groups={"bias": "lr=0.2"})
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.base_lrs == [1.0, 0.2]
    assert scheduler.get_last_lr() == pytest.approx([0.75, 0.15])


def test_steps_that_a_host_counts_itself_move_no_rate() -> None:
    """Accelerate adds to torch's count of steps where it skips one of several that make a batch."""
    scheduler = scheduler_of("cosine")
    scheduler._step_count += 1
    assert scheduler._step_count == 2
    assert scheduler_of("cosine")._step_count == 1
    scheduler.optimizer.step()
    scheduler.step()
    assert scheduler.get_last_lr() == [pytest.approx(COSINE[1])]


JOINT = "muon(lr=0.5, scheduler=exponential(gamma=0.5), rest=sgd(lr=1.0))"


@for_each("optimizer", [JOINT, "sgd(lr=1.0, scheduler=exponential(gamma=0.5))"])
@for_each("copied", [copy.deepcopy, lambda given: pickle.loads(pickle.dumps(given))])  # noqa: S301  # it is our own
def test_a_copied_optimizer_has_the_schedules_of_its_members(copied: Callable[[Any], Any], optimizer: str) -> None:
    """Parts that are copied with it know nothing of it: rates are those of the first optimizer."""
    parts = lossreg.parts(optimizer=optimizer, epochs=3)
    built = parts.optimizer(torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3))))
    same, other = copied((parts, built))
    rates = []
    schedulers: list[Any] = [parts.scheduler(built), same.scheduler(other)]
    for one in schedulers:
        one.checks_order = False
        one.step()
        rates.append(one.get_last_lr())
    assert rates[0] == rates[1]
    assert rates[0][0] == (0.25 if optimizer == JOINT else 0.5)


def test_an_optimizer_that_lacks_members_is_not_taken_for_one_of_the_parts() -> None:
    """It is not known which of them it has."""
    other = torch.optim.SGD(torch.nn.Linear(2, 1).parameters(), lr=0.1)
    with pytest.raises(lossreg.ConfigError, match=r"has 1 member, and they name .*muon.* and .*sgd"):
        lossreg.parts(optimizer=JOINT, epochs=3).scheduler(other)
