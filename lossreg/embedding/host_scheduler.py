"""A scheduler for the loop of a host, which steps it after each epoch or after each step of the optimizer."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs
from torch.optim.lr_scheduler import LRScheduler

from lossreg.errors import StateError
from lossreg.training.optim.rates import learning_rate
from lossreg.training.optim.scheduler import Schedule

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
        calls_per_epoch: How many calls of the host make an epoch; None if that is not known.

    Attributes:
        interval: See above.
        monitor: See above.
        optimizer: See above.
        calls_per_epoch: See above.
        goes_on_by: Where a host goes on whose epochs have other numbers of steps than those of the state: after as many
            `"epoch"`s, as most do, or after as many `"step"`s.
    """

    optimizer: Optimizer
    goes_on_by: Interval = "epoch"

    # torch's __init__ would take a first step: the schedules have taken theirs.
    def __init__(
        self,
        optimizer: Optimizer,
        counted: Sequence[Counted],
        interval: Interval,
        monitor: str | None,
        calls_per_epoch: int | None = None,
    ) -> None:
        self.optimizer = optimizer
        self.interval = interval
        self.monitor = monitor
        self.calls_per_epoch = calls_per_epoch
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
            "calls_per_epoch": self.calls_per_epoch,
            "schedules": [
                {
                    "text": one.schedule.label,
                    "interval": one.schedule.stepping.interval,
                    "span": one.span,
                    "every": one.every,
                    "state": _inner(one).state_dict(),
                }
                for one in self._counted
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state; the optimizer has its own already.

        A schedule that stands elsewhere in this loop than in that of the state is stepped to its place anew: where the
        training is longer, so that more epochs have rates above 0, and where an epoch has another number of steps.

        Raises:
            StateError: If it is the state of other schedules, or of ones that count something else.
        """
        pairs = self._checked(state_dict)
        was, change = int(state_dict["calls"]), Change.of(state_dict, self.calls_per_epoch)
        now = was
        if change is not None and self.goes_on_by == "epoch":
            now = round(was * change.now / change.was)
        moved = [_is_elsewhere(one, state, was, now) for one, state in pairs]
        if any(moved) and self.last_epoch:
            raise StateError(
                "the state to load is of another length: load it into a scheduler that has not stepped",
                where="the scheduler",
            )
        self.last_epoch, self._step_count = now, now + 1
        for (one, state), is_moved in zip(pairs, moved, strict=True):
            rate = _rate(one)
            if is_moved:
                self._step_anew(one)
            else:
                _inner(one).load_state_dict(state["state"])
            if change is not None:
                change.tell(one, now, rate)
            elif is_moved:
                logger.warning(
                    "the schedule %s was made for %s %ss and is now one for %s: its rate goes on at %g instead of %g",
                    one.schedule.label, state["span"], one.schedule.stepping.interval, one.span,
                    _rate(one), rate,
                )  # fmt: skip

    def _checked(self, state_dict: dict[str, Any]) -> list[tuple[Counted, dict[str, Any]]]:
        """Each schedule with its state, after a check that they are of the same texts."""
        saved = state_dict.get("schedules") if isinstance(state_dict, dict) else None
        if not isinstance(saved, list) or "calls" not in state_dict:
            raise StateError(
                "the state to load is not that of such a schedule of lossreg.parts, but of torch's, or of other "
                "schedules: load the other states alone, and step the schedule to where the training goes on",
                where="the scheduler",
            )
        labels = [one.schedule.label for one in self._counted]
        unsaid = [*labels, *[""] * len(saved)]  # earlier versions saved none
        was = [state.get("text", label) for state, label in zip(saved, unsaid, strict=False)]
        if was != labels:
            raise other_schedule(was, labels)
        pairs = list(zip(self._counted, saved, strict=True))
        for one, state in pairs:
            counts = one.schedule.stepping.interval
            if state.get("interval", counts) != counts:
                raise StateError(
                    f"the state to load is that of the schedule {one.schedule.label} that counts {state['interval']}s, "
                    f"and this one counts {counts}s: write scheduler_interval={state['interval']!r}, or begin without "
                    "its state",
                    where="the scheduler",
                )
        return pairs

    def _step_anew(self, counted: Counted) -> None:
        optimizer = _inner(counted).optimizer
        begin_rates(optimizer)  # what chained formulas multiply
        optimizer._opt_called = True  # type: ignore[attr-defined]  # it has stepped, in another process: torch need not warn
        for _ in range(counted.steps_after(self.last_epoch)):
            counted.schedule.between_steps()


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
        new = _rate(counted)
        logger.warning(
            "the state of the schedule %s is that of a loop that steps it %d times an epoch, and this one does so %d "
            "times: it goes on after %g epochs, at the rate %g%s",
            counted.schedule.label, self.was, self.now, calls / self.now, new,
            "" if new == rate else f" instead of {rate:g}",
        )  # fmt: skip


def begin_rates(optimizer: Optimizer) -> None:
    """Gives each parameter group the rate that it had before any schedule, from which a new one is built."""
    for group in optimizer.param_groups:
        group["lr"] = group.get("initial_lr", group["lr"])


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
        "without its state",
        where="the scheduler",
    )


def _rate(counted: Counted) -> float:
    rate = learning_rate(_inner(counted).optimizer)
    return math.nan if rate is None else rate


def _inner(counted: Counted) -> LRScheduler:
    scheduler = counted.schedule.scheduler
    assert scheduler is not None  # noqa: S101  # a constant rate has no schedule here
    return scheduler


def _is_elsewhere(counted: Counted, state: dict[str, Any], was: int, now: int) -> bool:
    """Whether a schedule has stepped more or less often in the state than it has now, or goes by another length."""
    schedule, span = counted.schedule, state.get("span")
    if schedule.stepping.monitor is not None:  # the metrics of then are not known
        return False
    steps = was // state.get("every", counted.every)
    steps = steps if span is None else min(steps, span - 1)
    return (schedule.takes_length and span != counted.span) or steps != counted.steps_after(now)
