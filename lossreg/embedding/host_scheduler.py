"""A scheduler for the loop of a host, which steps it after each epoch or after each step of the optimizer."""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from torch.optim.lr_scheduler import LRScheduler

from lossreg.errors import StateError
from lossreg.training.optim.rates import learning_rate
from lossreg.training.optim.scheduler import Schedule
from lossreg.values import changed_number

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from lossreg.run_spec import Interval

logger = logging.getLogger("lossreg")


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
        if self.span is not None and done >= self.span:
            return
        schedule = self.schedule
        monitor = schedule.stepping.monitor
        if monitor is None:
            schedule.between_steps()
        else:
            schedule.after_epoch(-2, {monitor: metric})  # no last one: which that is was seen above
        if schedule.may_skip:  # looking away from what torch sees costs microseconds
            self.schedule = attrs.evolve(schedule, may_skip=False)


class HostScheduler(LRScheduler):
    """The schedule of a host as one of torch's schedulers: `step()`, `get_last_lr()`, `state_dict()`.

    It steps as a run of lossreg does: between epochs or steps, never after the last, where a schedule need not have a
    rate. Where the host steps it more often than the schedule counts, it counts the calls.

    Args:
        optimizer: The optimizer.
        counted: The schedules; several where optimizers have schedules of their own.
        interval: After what the host calls `step`: each `"epoch"`, or each `"step"` of the optimizer.
        monitor: The metric that `step` is given, or None.

    Attributes:
        interval: See above.
        monitor: See above.
        optimizer: See above.
    """

    optimizer: Optimizer

    # torch's __init__ would take a first step: the schedules have taken theirs.
    def __init__(
        self, optimizer: Optimizer, counted: Sequence[Counted], interval: Interval, monitor: str | None
    ) -> None:
        self.optimizer = optimizer
        self.interval = interval
        self.monitor = monitor
        self.last_epoch = 0
        self.base_lrs = [group.get("initial_lr", group["lr"]) for group in optimizer.param_groups]
        self._counted = tuple(counted)
        self._step_count = 1  # Accelerate adds to it

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]  # as that of ReduceLROnPlateau
        """After an epoch, or a step of the optimizer.

        Args:
            metrics: The value of `monitor`, where there is one.
            epoch: Not used; torch's schedulers have it.
        """
        del epoch
        if self.monitor is not None and metrics is None:
            labels = " and ".join(one.schedule.label for one in self._counted)
            raise TypeError(f"the scheduler {labels} follows {self.monitor}: call step(value of {self.monitor})")
        self.last_epoch += 1
        self._step_count += 1
        for one in self._counted:
            one.step(self.last_epoch, metrics)

    def get_last_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]

    def get_lr(self) -> list[float | Tensor]:
        """The rate of each parameter group."""
        return self.get_last_lr()

    def state_dict(self) -> dict[str, Any]:
        """The calls so far, and the state of each schedule with the length that it was made for."""
        return {
            "calls": self.last_epoch,
            "schedules": [
                {"text": one.schedule.label, "span": one.span, "every": one.every, "state": _inner(one).state_dict()}
                for one in self._counted
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state; the optimizer has its own already.

        A schedule that goes by the length of the training, and was made for another one than it has now, is stepped to
        its place anew, so that more epochs have rates above 0.

        Raises:
            StateError: If it is the state of other schedules.
        """
        saved = state_dict.get("schedules")
        if not isinstance(saved, list) or len(saved) != len(self._counted) or "calls" not in state_dict:
            raise StateError(
                "the state to load is not that of such a schedule of lossreg.parts, but of torch's, or of other "
                "schedules: load the other states alone, and step the schedule to where the training goes on",
                where="the scheduler",
            )
        for one, state in zip(self._counted, saved, strict=True):
            if state.get("text", one.schedule.label) != one.schedule.label:
                raise StateError(
                    f"the state to load is that of the schedule {state['text']}, and this one is {one.schedule.label}",
                    where="the scheduler",
                )
        moved = [one for one, state in zip(self._counted, saved, strict=True) if _is_longer(one, state)]
        if moved and self.last_epoch:
            raise StateError(
                "the state to load is of another length: load it into a scheduler that has not stepped",
                where="the scheduler",
            )
        self.last_epoch = self._step_count = int(state_dict["calls"])
        self._step_count += 1
        for one, state in zip(self._counted, saved, strict=True):
            if one in moved:
                self._step_anew(one, state)
            else:
                _inner(one).load_state_dict(state["state"])

    def _step_anew(self, counted: Counted, state: dict[str, Any]) -> None:
        scheduler = _inner(counted)
        was = learning_rate(scheduler.optimizer)
        for group in scheduler.optimizer.param_groups:
            group["lr"] = group["initial_lr"]  # what chained formulas multiply
        scheduler.optimizer._opt_called = True  # type: ignore[attr-defined]  # it has stepped, in another process: torch need not warn
        for _ in range(counted.steps_after(self.last_epoch)):
            counted.schedule.between_steps()
        logger.warning(
            "the schedule %s was made for %s %ss and is now one for %s: its rate goes on at %s",
            counted.schedule.label, state["span"], counted.schedule.stepping.interval, counted.span,
            changed_number(learning_rate(scheduler.optimizer), was),
        )  # fmt: skip


def _inner(counted: Counted) -> LRScheduler:
    scheduler = counted.schedule.scheduler
    assert scheduler is not None  # noqa: S101  # a constant rate has no schedule here
    return scheduler


def _is_longer(counted: Counted, state: dict[str, Any]) -> bool:
    """Whether a schedule that goes by its length has another one now."""
    schedule = counted.schedule
    return schedule.stepping.monitor is None and schedule.takes_length and state["span"] != counted.span
