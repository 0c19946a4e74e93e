"""The schedulers of a host: what they count, whether that fits how the host steps them, and building them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import attrs

from lossreg.embedding.host_scheduler import Counted, HostScheduler
from lossreg.embedding.loop_facts import LoopFacts, says, untold
from lossreg.errors import ConfigError, LossregError
from lossreg.groups import SCHEDULER
from lossreg.registry.nested import monitor_of
from lossreg.run_spec import Interval
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.scheduler import Schedule, Stepping, build_scheduler, choose_stepping, takes_length
from lossreg.training.optim.schedules import PlannedSchedule, build_schedules, plan_schedules
from lossreg.training.selection import Choice, Selection

if TYPE_CHECKING:
    from torch.optim import Optimizer

#: Schedules, and what the optimizer was built from whose rates each moves, where that has to be known.
Planned = list[tuple[PlannedSchedule, OptimizerPlan | None]]


@attrs.frozen(eq=False)
class Scheduling:
    """What schedulers are built from.

    Attributes:
        chosen: What is named or given.
        requested: The interval that the settings ask for, or None.
        loop: What the host says about its loop.
    """

    chosen: Selection
    requested: Interval | None
    loop: LoopFacts

    def stepping(self, choice: Choice | None) -> Stepping:
        """When a scheduler steps."""
        loop = self.loop
        return choose_stepping(
            choice,
            self.requested,
            _followed(choice),
            loop.epochs or 0,
            loop.steps_per_epoch or 0,
        )

    def build(self, optimizer: Optimizer, plan: OptimizerPlan | None, each: Interval | None) -> HostScheduler | None:
        """Builds the scheduler of an optimizer; None for a constant rate.

        Args:
            optimizer: The optimizer.
            plan: What it was built from, where that is known.
            each: After what the host steps it, or None.

        Raises:
            LossregError: If it cannot be built.
        """
        planned = self._planned(optimizer, plan)
        if not planned:
            return None
        monitors = {one.stepping.monitor for one, _ in planned}
        counts = {one.stepping.interval for one, _ in planned}
        interval: Interval = each or ("step" if "step" in counts else "epoch")
        self._check_interval([one for one, _ in planned], interval, monitors)
        for one, _ in planned:
            self.loop.check_known(None if one.choice is None else one.choice.resolved, one.stepping.interval)
        try:
            built = self._built(optimizer, planned)
        except LossregError as error:
            resolved = tuple(one.choice.resolved for one, _ in planned if one.choice is not None)
            error.message += untold(self.loop, resolved, planned[0][0].stepping.interval)
            raise
        return HostScheduler(optimizer, [self._counted(one, interval) for one in built], interval, monitors.pop())

    def _planned(
        self, optimizer: Optimizer, plan: OptimizerPlan | None
    ) -> list[tuple[PlannedSchedule, OptimizerPlan | None]]:
        """The schedules that move something, and what the optimizer was built from, where that has to be known."""
        choice = self.chosen.scheduler
        if not any(one.scheduler for one in optimizers_of(self.chosen)):
            return [] if choice is None else [(PlannedSchedule(choice, self.stepping(choice), (0,)), None)]
        if plan is None:
            raise ConfigError(
                f"an optimizer has a scheduler of its own ({SCHEDULER}=): parts.scheduler takes what parts.optimizer "
                f"gave in this process, not {type(optimizer).__name__}"
            )
        metrics = [
            name for one in (choice, *(own.scheduler for own in optimizers_of(self.chosen))) for name in _followed(one)
        ]
        stepping = self.stepping(choice)
        planned = plan_schedules(plan, choice, stepping, self.requested, metrics)
        return [(one, plan) for one in planned if one.members and one.choice is not None]

    def _check_interval(self, planned: list[PlannedSchedule], interval: Interval, monitors: set[str | None]) -> None:
        labels = " and ".join(one.label for one in planned)
        if len(monitors) > 1 or (interval == "step" and monitors != {None}):
            metric = next(filter(None, monitors))
            raise ConfigError(
                f"the scheduler {labels} follows {metric}, which there is once an epoch, and the loop steps it after "
                "each step of the optimizer; name a scheduler that follows no metric"
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
                f"{says('steps_per_epoch', 'epoch')}"
            )

    def _built(self, optimizer: Optimizer, planned: Planned) -> list[Schedule]:
        (first, plan), *_ = planned
        schedules = [one for one, _ in planned]
        if plan is None:
            scheduler = build_scheduler(first.choice, optimizer, self.loop.runtime(first.stepping.interval))
            is_told = first.choice is not None and takes_length(first.choice.resolved)
            return [Schedule(scheduler, first.stepping, first.label, may_skip=True, takes_length=is_told)]
        spans = [self.loop.runtime(one.stepping.interval) for one in schedules]
        plans = [attrs.evolve(plan, runtime={**plan.runtime, **span}) for span in spans]
        built = []
        for one, own in zip(schedules, plans, strict=True):
            made = build_schedules([one], own, optimizer, [None], may_skip=True)
            assert isinstance(made, Schedule)  # noqa: S101  # of one there is one
            built.append(made)
        return built

    def _counted(self, schedule: Schedule, interval: Interval) -> Counted:
        own = schedule.stepping.interval
        every = 1 if own == interval else self.loop.steps_per_epoch
        assert every is not None  # noqa: S101  # it was checked
        return Counted(schedule, every, self.loop.epochs if own == "epoch" else self.loop.total_steps)


def optimizers_of(chosen: Selection) -> list[Choice]:
    """The optimizer, the one that trains what it is not for, and those of single groups."""
    return [*filter(None, [chosen.optimizer, chosen.optimizer.rest]), *chosen.group_optimizers.values()]


def _followed(choice: Choice | None) -> list[str]:
    """The metric that a scheduler follows, if there is one: a host has metrics of names of its own."""
    monitor = None if choice is None or choice.resolved is None else monitor_of(choice.resolved)
    return [] if monitor is None else [monitor]
