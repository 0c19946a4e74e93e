"""The state of a run's schedulers, and a schedule that is given more epochs than it was made for."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.training.optim.rates import learning_rate
from lossreg.training.optim.schedules import JointSchedule
from lossreg.values import changed_number

if TYPE_CHECKING:
    from lossreg.training.optim.scheduler import Schedule
    from lossreg.training.parts import Optimization

MAX_RATES = 1000  # epochs whose rates a checkpoint holds

logger = logging.getLogger("lossreg")


def schedules_of(schedule: Schedule | JointSchedule) -> tuple[Schedule, ...]:
    """Each schedule of a run."""
    return schedule.schedules if isinstance(schedule, JointSchedule) else (schedule,)


def schedule_state(schedule: Schedule | JointSchedule) -> list[dict[str, Any] | None]:
    """The `state_dict()` of each scheduler, its class and the rates that it was to give; None for a constant rate."""
    return [
        None
        if one.scheduler is None
        else {"state": one.scheduler.state_dict(), "class": type(one.scheduler).__name__, "rates": _rates(one)}
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

    Attributes:
        others: How the classes of the schedulers differ.
    """

    optimization: Optimization
    saved: Sequence[dict[str, Any] | None]
    position: Position
    epochs: int
    others: list[str] = attrs.field(init=False)
    _moved: list[tuple[Schedule, list[dict[str, Any]]]] = attrs.field(factory=list)

    def __attrs_post_init__(self) -> None:
        here = schedules_of(self.optimization.schedule)
        known = zip(here, self.saved, strict=False)
        self.others = [words for one, state in known if (words := _other_class(one, state)) is not None]
        if len(here) != len(self.saved):
            self.others.append(f"the checkpoint has {len(self.saved)} schedules, and the run has {len(here)}")

    def step_anew(self) -> None:
        """Before the optimizer has its state: a schedule multiplies the rates that it began with."""
        if self.epochs == self.position.spanned and not self.others:
            return
        for one, state in self._pairs():
            if one.scheduler is None:
                continue
            is_same = state is not None and _other_class(one, state) is None
            if is_same and (self.epochs == self.position.spanned or not self._goes_by_length(one, state["rates"])):
                continue
            self._note_steps(one.scheduler)
            groups = one.scheduler.optimizer.param_groups
            before = [dict(group) for group in groups]
            for _ in range(self._steps(one) if one.stepping.monitor is None else 0):
                one.between_steps()
            self._moved.append((one, [_changed(old, new) for old, new in zip(before, groups, strict=True)]))

    def _pairs(self) -> Iterator[tuple[Schedule, Any]]:
        """Each schedule, with what was saved of it, or None."""
        here = schedules_of(self.optimization.schedule)
        return zip(here, [*self.saved, *[None] * len(here)], strict=False)

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
        for one, state in self._pairs():
            scheduler = one.scheduler
            if scheduler is None:
                continue
            self._note_steps(scheduler)
            if id(one) not in moved:
                scheduler.load_state_dict(state["state"])
                continue
            was = learning_rate(scheduler.optimizer)
            for group, options in zip(scheduler.optimizer.param_groups, moved[id(one)], strict=True):
                group.update(options)
            if state is None or _other_class(one, state) is not None:
                continue  # which a warning says already
            logger.warning(
                "the schedule %s was made for %d epochs and is now one for %d: its rate goes on at %s, "
                "and the run is not the one that it would have been with %d epochs from its start",
                one.label, self.position.spanned, self.epochs, changed_number(learning_rate(scheduler.optimizer), was),
                self.epochs,
            )  # fmt: skip


def _other_class(schedule: Schedule, state: Any) -> str | None:
    """How a scheduler is another one than the one that was saved; a checkpoint of before does not tell its class."""
    here = None if schedule.scheduler is None else type(schedule.scheduler).__name__
    then = None if state is None else state.get("class", here or "another one")
    return None if here == then else f"the scheduler was {then or 'none'} and is {here or 'none'}"


def _changed(old: Mapping[str, Any], new: Mapping[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in new.items() if key != "params" and value is not old.get(key)}
