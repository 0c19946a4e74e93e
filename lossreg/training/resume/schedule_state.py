"""The state of a run's schedulers, and a schedule that is given more epochs than it was made for."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.training.optim.scheduler import learning_rate
from lossreg.training.optim.schedules import JointSchedule

if TYPE_CHECKING:
    from lossreg.training.optim.scheduler import Schedule
    from lossreg.training.parts import Optimization

MAX_RATES = 1000  # epochs whose rates a checkpoint holds

logger = logging.getLogger("lossreg")


def schedules_of(schedule: Schedule | JointSchedule) -> tuple[Schedule, ...]:
    """Each schedule of a run."""
    return schedule.schedules if isinstance(schedule, JointSchedule) else (schedule,)


def schedule_state(schedule: Schedule | JointSchedule) -> list[dict[str, Any] | None]:
    """The `state_dict()` of each scheduler and the rates that it was to give; None for a constant rate."""
    return [
        None if one.scheduler is None else {"state": one.scheduler.state_dict(), "rates": _rates(one)}
        for one in schedules_of(schedule)
    ]


def _rates(schedule: Schedule) -> list[list[float]] | None:
    """At the first and last step of each epoch, as far as a change of the length has to show in them."""
    return None if schedule.rates is None else [[one.first, one.last] for one in schedule.rates[:MAX_RATES]]


@attrs.frozen
class Position:
    """How far a run is.

    Attributes:
        epoch: The epoch under way, or the last one that was recorded.
        done: Steps of it that are done.
        spanned: The epochs that the run was to have.
    """

    epoch: int
    done: int
    spanned: int


@attrs.define(eq=False)
class ScheduleState:
    """Brings the schedulers of freshly built parts to a position, in two turns: before and after the optimizer's state.

    One that is made for the length of the run is stepped to the position anew where the length has changed; the others
    take the state that was saved.

    Args:
        optimization: The optimizer and its schedulers.
        saved: What `schedule_state` gave.
        position: How far the run is.
        epochs: The epochs that it is to have now.
    """

    optimization: Optimization
    saved: Sequence[dict[str, Any] | None]
    position: Position
    epochs: int
    _moved: list[tuple[Schedule, list[dict[str, Any]]]] = attrs.field(factory=list)

    def step_anew(self) -> None:
        """Before the optimizer has its state: a schedule multiplies the rates that it began with."""
        if self.epochs == self.position.spanned:
            return
        for one, state in zip(schedules_of(self.optimization.schedule), self.saved, strict=True):
            if one.scheduler is None or state is None or not self._goes_by_length(one, state["rates"]):
                continue
            self._note_steps(one.scheduler)
            groups = one.scheduler.optimizer.param_groups
            before = [dict(group) for group in groups]
            for _ in range(self._steps(one)):
                one.between_steps()
            self._moved.append((one, [_changed(old, new) for old, new in zip(before, groups, strict=True)]))

    def _note_steps(self, scheduler: Any) -> None:
        """Keeps torch from warning of a scheduler that steps before its optimizer: that did, in another process."""
        if hasattr(scheduler, "optimizer") and (self.position.epoch or self.position.done):
            scheduler.optimizer._opt_called = True

    def _goes_by_length(self, schedule: Schedule, rates: list[list[float]] | None) -> bool:
        """Whether the rates of the epochs that both lengths have are others; told by what it takes if not known."""
        if schedule.stepping.monitor is not None or not schedule.takes_length:
            return False
        now = _rates(schedule)
        if now is None or rates is None:
            return True
        return any(one != other for one, other in zip(now, rates, strict=False))

    def _steps(self, schedule: Schedule) -> int:
        """How often a schedule has stepped: not before the first step of an epoch, and never after the last."""
        if not schedule.counts_steps:
            return self.position.epoch
        return self.position.epoch * schedule.stepping.steps_per_epoch + max(self.position.done - 1, 0)

    def load(self) -> None:
        """After the optimizer has its state."""
        moved = {id(one): options for one, options in self._moved}
        for one, state in zip(schedules_of(self.optimization.schedule), self.saved, strict=True):
            scheduler = one.scheduler
            if scheduler is None or state is None:
                continue
            self._note_steps(scheduler)
            if id(one) not in moved:
                scheduler.load_state_dict(state["state"])
                continue
            was = learning_rate(scheduler.optimizer)
            for group, options in zip(scheduler.optimizer.param_groups, moved[id(one)], strict=True):
                group.update(options)
            logger.warning(
                "the schedule %s was made for %d epochs and is now one for %d: its rate goes on at %g instead of %g, "
                "and the run is not the one that it would have been with %d epochs from its start",
                one.label, self.position.spanned, self.epochs, learning_rate(scheduler.optimizer), was, self.epochs,
            )  # fmt: skip


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in new.items() if key != "params" and value is not old.get(key)}
