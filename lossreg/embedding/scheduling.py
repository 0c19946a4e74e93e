"""The schedulers of a host: what they count, whether that fits how the host steps them, and building them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

import attrs

from lossreg.embedding.counted import Calls, Count, GivenAgain
from lossreg.embedding.host_scheduler import HostScheduler
from lossreg.embedding.loop_facts import LoopFacts, says, untold
from lossreg.errors import ConfigError, LossregError
from lossreg.groups import SCHEDULER
from lossreg.registry.nested import monitor_of
from lossreg.run_spec import Interval
from lossreg.training.choice import Choice
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.scheduler import (
    Schedule,
    Stepping,
    choose_stepping,
    is_made,
    of_another,
    scheduler_builder,
    takes_length,
)
from lossreg.training.optim.schedules import PlannedSchedule, build_schedules, plan_schedules
from lossreg.training.selection import Selection
from lossreg.values import counted, shown

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lossreg.embedding.counted import Builder


@attrs.frozen(eq=False)
class SharedSchedule:
    """The scheduler of the parts, where it moves the rates of all optimizers: checked, to be built for one and another.

    Attributes:
        calls: How the host steps it.
        make: Builds it for an optimizer.
        is_object: Whether that gives an object, which was built before.
        more: What else it could be told, as the end of an error; found when there is one.
    """

    calls: Calls
    make: Builder
    is_object: bool
    more: Callable[[LossregError], str]

    def build(self, optimizer: Optimizer) -> HostScheduler:
        """Builds it.

        Raises:
            LossregError: If it cannot be built.
        """
        try:
            scheduler = self.make(optimizer)
        except LossregError as error:
            error.message += self.more(error)
            raise
        if getattr(scheduler, "optimizer", optimizer) is not optimizer:
            raise of_another(self.calls.counts[0].label)
        again = GivenAgain(scheduler) if self.is_object else self.make
        return HostScheduler(optimizer, (scheduler,), self.calls, (again,))


@attrs.frozen(eq=False)
class Scheduling:
    """What schedulers are built from.

    What goes by texts and by what the loop has said is found and checked at once, not for each optimizer; what the loop
    has not said yet is asked for when a scheduler is built.

    Attributes:
        chosen: What is named or given.
        requested: The interval that the settings ask for, or None.
        loop: What the host says about its loop.
        stepping: When the scheduler of the parts steps.
        has_own: Whether an optimizer has a scheduler of its own.

    Raises:
        LossregError: If the scheduler cannot be stepped so, or lacks a parameter.
    """

    chosen: Selection
    requested: Interval | None
    loop: LoopFacts
    stepping: Stepping = attrs.field(init=False)
    has_own: bool = attrs.field(init=False)
    _shared: dict[Interval, SharedSchedule] = attrs.field(init=False)

    @stepping.default
    def _choose(self) -> Stepping:
        choice, loop = self.chosen.scheduler, self.loop
        return choose_stepping(choice, self.requested, _followed(choice), loop.epochs or 0, loop.steps_per_epoch or 0)

    @has_own.default
    def _look(self) -> bool:
        return any(one.scheduler for one in optimizers_of(self.chosen))

    @_shared.default
    def _prepare(self) -> dict[Interval, SharedSchedule]:
        choice, usual = self.chosen.scheduler, self.stepping.interval
        if choice is None or self.has_own or self.loop.asks(choice.resolved, usual):
            return {}
        return {usual: self._prepared(choice, usual)}

    def build(
        self, optimizer: Optimizer, plans: Mapping[Optimizer, OptimizerPlan], each: Interval | None
    ) -> HostScheduler | None:
        """Builds the scheduler of an optimizer; None for a constant rate.

        Args:
            optimizer: The optimizer.
            plans: What optimizers were built from, where that is known.
            each: After what the host steps it, or None.

        Raises:
            LossregError: If it cannot be built.
        """
        if each not in (None, "epoch", "step"):
            raise ConfigError(f"each is after what the loop steps the scheduler, 'epoch' or 'step', not {shown(each)}")
        if self.has_own:
            return self._own(optimizer, plans.get(optimizer), each)
        choice = self.chosen.scheduler
        if choice is None:
            return None
        interval = each or self.stepping.interval
        shared = self._shared.get(interval)
        if shared is None:
            shared = self._shared[interval] = self._prepared(choice, interval)
        return shared.build(optimizer)

    def _prepared(self, choice: Choice, each: Interval) -> SharedSchedule:
        """The scheduler of the parts, checked for a host that steps it so."""
        stepping = self.stepping
        calls = self._checked([PlannedSchedule(choice, stepping, (0,))], each)
        more = functools.partial(untold, self.loop, (choice.resolved,), stepping.interval)
        try:
            make = scheduler_builder(choice, self.loop.runtime(stepping.interval))
        except LossregError as error:
            error.message += more(error)
            raise
        return SharedSchedule(calls, make, is_made(choice.given), more)

    def _own(self, optimizer: Optimizer, plan: OptimizerPlan | None, each: Interval | None) -> HostScheduler | None:
        """Builds schedulers where optimizers have some of their own."""
        if plan is None:
            plan = self._plan_of(optimizer)
        planned = self._planned(plan)
        if not planned:
            return None
        calls = self._checked(planned, each)
        builders = [functools.partial(_build_one, one, self._told(plan, one)) for one in planned]
        try:
            built = tuple(build(optimizer) for build in builders)
        except LossregError as error:
            resolved = tuple(one.choice.resolved for one in planned if one.choice is not None)
            error.message += untold(self.loop, resolved, planned[0].stepping.interval, error)
            raise
        each_again = tuple(map(_again, planned, built, builders))
        return HostScheduler(optimizer, built, calls, each_again)

    def _plan_of(self, optimizer: Optimizer) -> OptimizerPlan:
        """What a copy of an optimizer was built from, as far as schedules go by it."""
        chosen = optimizers_of(self.chosen)
        members = optimizer.members if isinstance(optimizer, JointOptimizer) else [optimizer]
        if len(members) != len(chosen):  # those that no parameter was for are left out
            raise ConfigError(
                f"an optimizer has a scheduler of its own ({SCHEDULER}=), and the optimizer that parts.scheduler is "
                f"given is not known to be of these parts: it has {counted(len(members), 'member')}, and they name "
                f"{' and '.join(one.label for one in chosen)}; give it what parts.optimizer gave"
            )
        first, *others = (OptimizerPlan(one, [], has_patterns=False, runtime={}) for one in chosen)
        return attrs.evolve(first, others=tuple(others))

    def _told(self, plan: OptimizerPlan, one: PlannedSchedule) -> OptimizerPlan:
        """The plan of the optimizers with what the loop tells a schedule."""
        return attrs.evolve(plan, runtime={**plan.runtime, **self.loop.runtime(one.stepping.interval)})

    def _planned(self, plan: OptimizerPlan) -> list[PlannedSchedule]:
        """The schedules that move something, of optimizers that were built from a plan."""
        choice = self.chosen.scheduler
        metrics = [
            name for one in (choice, *(own.scheduler for own in optimizers_of(self.chosen))) for name in _followed(one)
        ]
        planned = plan_schedules(plan, choice, self.stepping, self.requested, metrics)
        return [one for one in planned if one.members and one.choice is not None]

    def _checked(self, planned: list[PlannedSchedule], each: Interval | None) -> Calls:
        """Checks that the schedules can be stepped as the host steps them, and that they are told what they go by."""
        followed = {one.stepping.monitor: one.label for one in planned if one.stepping.monitor is not None}
        intervals = {one.stepping.interval for one in planned}
        interval: Interval = each or ("step" if "step" in intervals else "epoch")
        if intervals != {interval} or followed:
            self._check_interval(planned, interval, followed)
        for one in planned:
            self.loop.check_known(None if one.choice is None else one.choice.resolved, one.stepping.interval)
        counts = tuple(self._count(one, interval) for one in planned)
        per_epoch = 1 if interval == "epoch" else self.loop.steps_per_epoch
        return Calls(interval, next(iter(followed), None), counts, per_epoch)

    def _check_interval(self, planned: list[PlannedSchedule], interval: Interval, followed: dict[str, str]) -> None:
        labels = " and ".join(one.label for one in planned)
        if len(followed) > 1:
            each = " and ".join(f"{label} follows {metric}" for metric, label in followed.items())
            raise ConfigError(
                f"the scheduler {each}: the loop of a host gives one value, by step(value); have them follow the same "
                "metric"
            )
        if interval == "step" and followed:
            (metric, label), *_ = followed.items()
            because = "the loop steps it" if len(planned) == 1 else f"{labels} are stepped"
            raise ConfigError(
                f"the scheduler {label} follows {metric}, which there is once an epoch, and {because} after each step "
                "of the optimizer; name a scheduler that follows no metric"
            )
        if interval == "epoch" and any(one.stepping.interval == "step" for one in planned):
            raise ConfigError(
                f"the scheduler {labels} counts steps, and the loop steps it once an epoch; write "
                "lossreg.parts(..., scheduler_interval='epoch') to have it count epochs"
            )
        if (
            interval == "step"
            and self.loop.steps_per_epoch is None
            and any(one.stepping.interval == "epoch" for one in planned)
        ):
            raise ConfigError(
                f"the scheduler {labels} counts epochs, and the loop steps it after each step of the optimizer: "
                f"{self._say_steps(planned)}"
            )

    def _say_steps(self, planned: list[PlannedSchedule]) -> str:
        """What to write where epochs are counted in steps, and the loop has not said how many steps make one."""
        total = self.loop.total_steps
        if total is None:
            return says("steps_per_epoch", "epoch")
        asks = any(self.loop.asks(one.choice.resolved, "epoch") for one in planned if one.choice is not None)
        told = says("total_steps" if asks else "steps_per_epoch", "epoch")
        return f"write lossreg.parts(..., scheduler_interval='step') to have it count the {total} steps, or {told}"

    def _count(self, one: PlannedSchedule, interval: Interval) -> Count:
        stepping, facts = one.stepping, self.loop
        every = 1 if stepping.interval == interval else facts.steps_per_epoch
        assert every is not None  # noqa: S101  # it was checked
        span = facts.epochs if stepping.interval == "epoch" else facts.total_steps
        is_told = one.choice is not None and takes_length(one.choice.resolved)
        return Count(one.label, stepping, is_told, every, span)


def _build_one(planned: PlannedSchedule, plan: OptimizerPlan, optimizer: Optimizer) -> LRScheduler:
    """Builds the scheduler of those of several optimizers whose rates it moves."""
    made = build_schedules([planned], plan, optimizer, [None], may_skip=True)
    assert isinstance(made, Schedule)  # noqa: S101  # of one there is one
    assert made.scheduler is not None  # noqa: S101  # a constant rate is not planned
    return made.scheduler


def _again(planned: PlannedSchedule, built: LRScheduler, build: Builder) -> Builder:
    """What builds a scheduler again, which an object cannot be."""
    return GivenAgain(built) if planned.choice is not None and is_made(planned.choice.given) else build


def optimizers_of(chosen: Selection) -> list[Choice]:
    """The optimizer, the one that trains what it is not for, and those of single groups."""
    return [*filter(None, [chosen.optimizer, chosen.optimizer.rest]), *chosen.group_optimizers.values()]


def _followed(choice: Choice | None) -> list[str]:
    """The metric that a scheduler follows, if there is one: a host has metrics of names of its own."""
    monitor = None if choice is None or choice.resolved is None else monitor_of(choice.resolved)
    return [] if monitor is None else [monitor]
