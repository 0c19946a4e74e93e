"""The schedulers of a run, that of the run and those that optimizers have of their own, behind the same three calls."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.errors import ConfigError
from lossreg.training.choosing import BY_NAME, Directions
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.rates import EpochRates, preview_rates, zero_rate_warning
from lossreg.training.optim.scheduler import (
    Schedule,
    Stepping,
    build_scheduler,
    choose_stepping,
    takes_length,
)

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.run_spec import Interval
    from lossreg.training.choice import Choice


@attrs.frozen(eq=False)
class PlannedSchedule:
    """A scheduler, when it steps, and the optimizers whose rates it moves.

    Attributes:
        choice: The scheduler; None is a constant rate.
        stepping: When it steps.
        members: Which of the optimizers of the run, by their place in `OptimizerPlan.members`.
    """

    choice: Choice | None
    stepping: Stepping
    members: tuple[int, ...]

    @property
    def label(self) -> str:
        """How a person would write it."""
        return "none" if self.choice is None else self.choice.label

    def optimizer_plan(self, plan: OptimizerPlan) -> OptimizerPlan:
        """Of the plan of all optimizers that of those whose rates it moves, with what the loop tells this scheduler."""
        first, *others = (plan.members[place] for place in self.members)
        return attrs.evolve(first, others=tuple(others), runtime=self.runtime(first))

    def runtime(self, plan: OptimizerPlan) -> Mapping[str, Any]:
        """Runtime name -> value for this scheduler."""
        stepping = self.stepping
        better = {} if stepping.better is None else {"monitor_better": stepping.better}
        return {**plan.runtime, "interval": stepping.interval, "span": stepping.span, **better}

    def of(self, plan: OptimizerPlan) -> str:
        """The optimizers whose rates it moves, for a person."""
        return " and ".join(plan.members[place].choice.label for place in self.members)


def plan_schedules(
    plan: OptimizerPlan,
    choice: Choice | None,
    stepping: Stepping,
    requested: Interval | None,
    metrics: Sequence[str],
    directions: Directions = BY_NAME,
) -> list[PlannedSchedule]:
    """Decides which scheduler moves which rates: an optimizer's own, and that of the run those that have none.

    Args:
        plan: The optimizers.
        choice: The scheduler of the run, or None.
        stepping: When it steps.
        requested: The interval that the settings ask for, or None.
        metrics: The metrics of an epoch's row.
        directions: Which values of the metrics are better that the run names.

    Returns:
        First the schedule of the run, then those of single optimizers.

    Raises:
        ConfigError: If the scheduler of the run moves nothing, or the run does not have what a scheduler asks for.
    """
    own = {place: one.choice.scheduler for place, one in enumerate(plan.members) if one.choice.scheduler is not None}
    following = tuple(place for place in range(len(plan.members)) if place not in own)
    if choice is not None and not following:
        raise ConfigError(
            f"the scheduler {choice.label} moves nothing: each optimizer that trains has a scheduler of its own; "
            "leave scheduler out (--sched none), or take scheduler= from an optimizer that shall follow it",
            setting="scheduler",
        )
    epochs, steps = stepping.epochs, stepping.steps_per_epoch
    return [
        PlannedSchedule(choice, stepping, following),
        *(
            PlannedSchedule(
                scheduler, choose_stepping(scheduler, requested, metrics, epochs, steps, directions), (place,)
            )
            for place, scheduler in own.items()
        ),
    ]


def followed_metrics(plan: OptimizerPlan, schedules: Sequence[PlannedSchedule]) -> dict[str, str]:
    """Each scheduler that follows a metric, for a person -> the metric."""
    run_s, *own = schedules
    named = {f"the scheduler {run_s.label}": run_s.stepping.monitor}
    named |= {f"the scheduler {one.label} of {one.of(plan)}": one.stepping.monitor for one in own}
    return {label: monitor for label, monitor in named.items() if monitor is not None}


Previews = list[list[EpochRates] | None]


def preview_schedules(plan: OptimizerPlan, schedules: Sequence[PlannedSchedule], device: torch.device) -> Previews:
    """The rates of each schedule, as `preview_rates` gives them; None for one that moves nothing."""
    return [
        preview_rates(one.optimizer_plan(plan), one.choice, one.stepping, device) if one.members else None
        for one in schedules
    ]


def rates_of_first(schedules: Sequence[PlannedSchedule], previews: Previews) -> list[EpochRates] | None:
    """The rates of the first parameter group."""
    return next(rates for one, rates in zip(schedules, previews, strict=True) if 0 in one.members)


@attrs.frozen(eq=False)
class JointSchedule:
    """Schedules of different optimizers as one: each steps when its own stepping says so.

    Attributes:
        schedules: The first is that of the run.
    """

    schedules: tuple[Schedule, ...]
    _between: tuple[Schedule, ...] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        object.__setattr__(self, "_between", tuple(one for one in self.schedules if one.counts_steps))

    @property
    def stepping(self) -> Stepping:
        """When the scheduler of the run steps."""
        return self.schedules[0].stepping

    @property
    def counts_steps(self) -> bool:
        """Whether one of them steps between the steps of an epoch."""
        return bool(self._between)

    def between_steps(self) -> None:
        """Before each step of an epoch but the first."""
        for one in self._between:
            one.between_steps()

    def after_epoch(self, epoch: int, row: Mapping[str, Any]) -> None:
        """After the evaluation of an epoch.

        Args:
            epoch: The epoch, from 0.
            row: Its metrics.
        """
        for one in self.schedules:
            one.after_epoch(epoch, row)


def build_schedules(
    schedules: Sequence[PlannedSchedule],
    plan: OptimizerPlan,
    optimizer: Optimizer,
    previews: Previews,
    *,
    may_skip: bool,
) -> Schedule | JointSchedule:
    """Builds the schedulers.

    Args:
        schedules: Which of them moves what.
        plan: The optimizers.
        optimizer: The same, built.
        previews: The rates to come of each schedule.
        may_skip: Whether there may be steps that a gradient scaler leaves out.

    Raises:
        LossregError: If a scheduler cannot be built.
    """
    built = []
    for one, rates in zip(schedules, previews, strict=True):
        part = _part(optimizer, one.members)
        scheduler = build_scheduler(one.choice, part, one.runtime(plan))
        # Torch looks whether the optimizer that it was given has stepped; of a part, the members do.
        is_part = len(one.members) > 1 and part is not optimizer
        is_told = one.choice is not None and takes_length(one.choice.resolved)
        may = may_skip or is_part
        built.append(Schedule(scheduler, one.stepping, one.label, may_skip=may, takes_length=is_told, rates=rates))
    return built[0] if len(built) == 1 else JointSchedule(tuple(built))


def _part(optimizer: Optimizer, members: tuple[int, ...]) -> Optimizer:
    """The optimizer that has these members."""
    if not isinstance(optimizer, JointOptimizer) or len(members) in (0, len(optimizer.members)):
        return optimizer
    return optimizer.members[members[0]] if len(members) == 1 else optimizer.part(members)


def scheduler_facts(
    optimizer: Choice, plan: OptimizerPlan, schedules: Sequence[PlannedSchedule], built: Optimizer
) -> dict[str, Any]:
    """What the run record says of the schedulers; that of `optimizer.2` alone is `scheduler.2`.

    Args:
        optimizer: The optimizer of the run.
        plan: All optimizers.
        schedules: Their schedules.
        built: The optimizers, built.
    """
    numbers = itertools.count(2)
    number = [1 if member.choice is optimizer else next(numbers) for member in plan.members]
    run_s, *own = schedules
    named = {"scheduler": run_s, **{f"scheduler.{number[one.members[0]]}": one for one in own}}
    return {
        name: one.choice.facts({**one.runtime(plan), "optimizer": built})
        for name, one in named.items()
        if one.choice is not None
    }


def describe_schedules(
    plan: OptimizerPlan, schedules: Sequence[PlannedSchedule], previews: Previews
) -> list[dict[str, Any]]:
    """Which scheduler moves which groups, for the run record; nothing where one moves all."""
    if len(schedules) == 1:
        return []
    of_member = [place for place, member in enumerate(plan.members) for _ in member.groups]
    return [
        {
            "scheduler": one.label,
            "optimizers": [plan.members[place].choice.label for place in one.members],
            "groups": [group for group, place in enumerate(of_member) if place in one.members],
            "interval": one.stepping.interval,
            "monitor": one.stepping.monitor,
            "rates": None if rates is None else [rates[0].first, rates[-1].last],
        }
        for one, rates in zip(schedules, previews, strict=True)
        if one.choice is not None
    ]


def rate_warnings(plan: OptimizerPlan, schedules: Sequence[PlannedSchedule], previews: Previews) -> list[str]:
    """Sentences about epochs that cannot change the weights."""
    several = len(schedules) > 1
    each = zip(schedules, previews, strict=True)
    return [*filter(None, (zero_rate_warning(rates, one.of(plan) if several else None) for one, rates in each))]
