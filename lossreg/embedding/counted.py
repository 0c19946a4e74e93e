"""A schedule that the loop of a host steps: how often it steps, and where it stands in another loop than before."""

from __future__ import annotations

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.embedding.loop_facts import says
from lossreg.embedding.scheduled_groups import FIRST_RATE
from lossreg.errors import StateError
from lossreg.training.optim.rates import learning_rate
from lossreg.training.optim.scheduler import Schedule, Stepping
from lossreg.values import changed_number

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lossreg.run_spec import Interval

    Builder = Callable[[Optimizer], LRScheduler]

logger = logging.getLogger("lossreg")


@attrs.frozen
class Count:
    """What the schedulers of one text have in common in the loop of a host.

    Attributes:
        label: How a person would write them.
        stepping: When they step.
        takes_length: Whether they are told how long the training is.
        every: After how many calls of the host they step once.
        span: How many epochs or steps, whichever they count, the host has in all; None if that is not known.
    """

    label: str
    stepping: Stepping
    takes_length: bool
    every: int
    span: int | None


@attrs.frozen
class Calls:
    """What the calls of a host come to.

    Attributes:
        interval: After what it calls `step`.
        monitor: The metric that it gives, or None.
        counts: What each schedule counts.
        per_epoch: How many calls make an epoch; None if that is not known.
    """

    interval: Interval
    monitor: str | None
    counts: tuple[Count, ...]
    per_epoch: int | None

    def counted(self, schedulers: Sequence[LRScheduler]) -> tuple[Counted, ...]:
        """Schedulers in such a loop, one for each count."""
        counted = []
        for built, one in zip(schedulers, self.counts, strict=True):
            schedule = Schedule(built, one.stepping, one.label, may_skip=True, takes_length=one.takes_length)
            counted.append(Counted(schedule, one.every, one.span))
        return tuple(counted)


@attrs.define(eq=False)
class Counted:
    """A schedule in the loop of a host.

    Attributes:
        schedule: The schedule; in its first step torch looks whether the optimizer has stepped, which may be skipped.
        every: After how many calls of the host it steps once.
        span: How many epochs or steps, whichever it counts, the host has in all; None if that is not known.
    """

    schedule: Schedule
    every: int
    span: int | None

    def steps_after(self, calls: int) -> int:
        """How often it has stepped after so many calls: never after the last epoch or step, as in a run."""
        steps = calls // self.every
        return steps if self.span is None else min(steps, self.span - 1)

    def step(self, calls: int, metric: Any) -> None:
        """The last of so many calls."""
        if calls % self.every:
            return
        done = calls // self.every
        schedule = self.schedule
        if self.span is not None and done >= self.span:
            if done == self.span + 1:
                self._say_over()
            return
        monitor = schedule.stepping.monitor
        if monitor is None:
            schedule.between_steps()
        else:
            schedule.after_epoch(-2, {monitor: metric})  # no last one: which that is was seen above
        if schedule.may_skip:  # looking away from what torch sees costs microseconds
            self.schedule = attrs.evolve(schedule, may_skip=False)

    def _say_over(self) -> None:
        """Says, once, that the loop is longer than it was said to be."""
        interval = self.schedule.stepping.interval
        logger.warning(
            "the schedule %s was made for %s %s, and the loop has more of them: the rate stays as it is; %s",
            self.schedule.label, self.span, interval if self.span == 1 else f"{interval}s", says("span", interval),
        )  # fmt: skip


@attrs.frozen
class Change:
    """A loop that steps a schedule more or less often in an epoch than that of its state.

    Attributes:
        was: How many calls made an epoch.
        now: How many do.
    """

    was: int
    now: int

    @classmethod
    def of(cls, state_dict: dict[str, Any], now: int | None) -> Change | None:
        """What has changed; None if nothing, or if it is not known."""
        was = state_dict.get("calls_per_epoch")
        if was is None:  # earlier versions saved it where schedules that count epochs are stepped more often
            every = max((state.get("every", 1) for state in state_dict["schedules"]), default=1)
            was = None if every == 1 else every
        return None if was is None or now is None or was == now else cls(was, now)

    def tell(self, counted: Counted, calls: int, rate: float) -> None:
        """Says where a schedule goes on, after so many calls, and which rate it had."""
        logger.warning(
            "the state of the schedule %s is that of a loop that steps it %d times an epoch, and this one does so %d "
            "times: it goes on after %g epochs, at the rate %s",
            counted.schedule.label, self.was, self.now, calls / self.now, changed_number(rate_of(counted), rate),
        )  # fmt: skip


def first_rates(optimizer: Optimizer) -> list[float]:
    """The rate of each parameter group before any schedule."""
    return [float(group.get(FIRST_RATE, group["lr"])) for group in optimizer.param_groups]


def begin_rates(optimizer: Optimizer) -> None:
    """Gives each parameter group the rate that it had before any schedule, from which a new one is built."""
    for group in optimizer.param_groups:
        _set(group, "lr", group.get(FIRST_RATE, group["lr"]))


def moved_options(optimizer: Optimizer) -> list[dict[str, Any]]:
    """The options of each parameter group that schedules move, as plain values."""
    return [{key: _plain(group[key]) for key in _MOVED if key in group} for group in optimizer.param_groups]


def set_options(optimizer: Optimizer, options: Sequence[Mapping[str, Any]]) -> None:
    """Gives each parameter group options that `moved_options` gave."""
    for group, saved in zip(optimizer.param_groups, options, strict=False):
        for key, value in saved.items():
            _set(group, key, value)


def _plain(value: Any) -> Any:
    return tuple(map(_plain, value)) if isinstance(value, tuple) else float(value) if hasattr(value, "fill_") else value


def _set(group: dict[str, Any], key: str, value: Any) -> None:
    if hasattr(group.get(key), "fill_"):  # a tensor, which a compiled step knows
        group[key].fill_(value)
    else:
        group[key] = value


_MOVED = ("lr", FIRST_RATE, "momentum", "betas")


@attrs.define(eq=False)
class GivenAgain:
    """Has a scheduler object stand where it did when this was first called: it cannot be built again.

    Attributes:
        scheduler: The object.
    """

    scheduler: Any
    _state: dict[str, Any] | None = attrs.field(default=None, init=False)

    def __call__(self, optimizer: Optimizer) -> Any:
        """The scheduler; its rates are in proportion where the groups begin with others than it did."""
        scheduler, groups = self.scheduler, optimizer.param_groups
        if self._state is None:
            self._state = copy.deepcopy(scheduler.state_dict())
        else:
            scheduler.load_state_dict(copy.deepcopy(self._state))
        bases = getattr(scheduler, "base_lrs", [group["lr"] for group in groups])
        for group, rate, base in zip(groups, getattr(scheduler, "_last_lr", ()), bases, strict=False):
            if base:
                _set(group, "lr", group["lr"] * rate / base)
        return scheduler


def other_schedule(was: Sequence[str], now: Sequence[str]) -> StateError:
    """The error of a state of other schedules.

    Args:
        was: The texts of those in the state; none is a constant rate.
        now: Those of now.

    Example:
        >>> print(other_schedule(["step_lr(step_size=2)"], []))
        the state to load is that of the schedule step_lr(step_size=2), and this one is a constant rate: name the ...
    """
    old = f"the schedule {' and '.join(was)}" if was else "a constant rate"
    new = " and ".join(now) or "a constant rate"
    return StateError(
        f"the state to load is that of {old}, and this one is {new}: name the scheduler of the checkpoint, or begin "
        "a new training with the weights alone",
        where="the scheduler",
    )


def saved_rate(counted: Counted, state: dict[str, Any]) -> float:
    """The learning rate that a schedule had set when its state was saved; that of now where the state has none."""
    rates = state["state"].get("_last_lr")
    return float(rates[0]) if rates else rate_of(counted)


def rate_of(counted: Counted) -> float:
    """The learning rate that a schedule has set."""
    rate = learning_rate(inner_of(counted).optimizer)
    return math.nan if rate is None else rate


def inner_of(counted: Counted) -> LRScheduler:
    """The scheduler itself."""
    scheduler = counted.schedule.scheduler
    assert scheduler is not None  # noqa: S101  # a constant rate has no schedule here
    return scheduler


def is_state(given: object) -> bool:
    """Whether something has the form of the state of a `HostScheduler`."""
    if not isinstance(given, Mapping) or not isinstance(given.get("calls"), int):
        return False
    saved = given.get("schedules")
    return isinstance(saved, list) and all(
        isinstance(one, Mapping) and isinstance(one.get("state"), Mapping) for one in saved
    )


def is_elsewhere(counted: Counted, state: dict[str, Any], was: int, now: int) -> bool:
    """Whether a schedule has stepped more or less often in the state than it has now, or goes by another length."""
    schedule, span = counted.schedule, state.get("span")
    if schedule.stepping.monitor is not None:  # the metrics of then are not known
        return False
    steps = was // state.get("every", counted.every)
    steps = steps if span is None else min(steps, span - 1)
    return (schedule.takes_length and span != counted.span) or steps != counted.steps_after(now)
