"""A scheduler for the loop of a host, which steps it after each epoch or after each step of the optimizer."""

from __future__ import annotations

import functools
import logging
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch.optim.lr_scheduler import LRScheduler

from lossreg.embedding.counted import (
    Calls,
    Change,
    Counted,
    begin_rates,
    first_rates,
    inner_of,
    is_elsewhere,
    is_state,
    moved_options,
    other_schedule,
    rate_of,
    saved_rate,
    set_options,
)
from lossreg.embedding.scheduled_groups import FIRST_RATE
from lossreg.errors import ConfigError, LossregError, StateError
from lossreg.values import changed_number, counted, shown

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from lossreg.embedding.counted import Builder
    from lossreg.run_spec import Interval

logger = logging.getLogger("lossreg")

#: It begins as torch's own does, so that what programs do about that one holds for both.
_ORDER = (
    "Detected call of `lr_scheduler.step()` before `optimizer.step()`: the first rate of the schedule is left out; "
    "call scheduler.step() after optimizer.step()"
)

#: What to do where parameter groups are added, as the end of a sentence.
_WITH_ADDED = (
    "have all parameters in groups from the start (leave freeze out, and call requires_grad_(False) after "
    "parts.optimizer), or set lr and initial_lr of each group to its first rate, build the schedule again, and call "
    "its begin_after"
)


class HostScheduler(LRScheduler):
    """The schedule of a host as one of torch's schedulers: `step()`, `get_last_lr()`, `state_dict()`.

    It steps as a run of lossreg does: between epochs or steps, never after the last, where a schedule need not have a
    rate. Where the host steps it more often than the schedule counts, it counts the calls.

    Args:
        optimizer: The optimizer.
        schedulers: What moves its rates, built; several where optimizers have schedules of their own.
        calls: When the host calls `step`, and what each scheduler counts.
        builders: What builds each of them again for the optimizer.

    Attributes:
        optimizer: See above.
        last_epoch: How often `step` was called.
        checks_order: Whether it is looked at whether the optimizer has stepped before, as torch's schedulers do; not
            where a host goes on with a new schedule.
        goes_on_by: Where a host goes on whose epochs have other numbers of steps than those of the state: after as many
            `"epoch"`s, as most do, or after as many `"step"`s.
    """

    optimizer: Optimizer
    last_epoch = 0
    checks_order = True
    goes_on_by: Interval = "epoch"
    _step_count = 1  # Accelerate adds to it
    _has_said_added = False

    # torch's __init__ would take a first step: the schedulers have taken theirs.
    def __init__(
        self,
        optimizer: Optimizer,
        schedulers: tuple[LRScheduler, ...],
        calls: Calls,
        builders: tuple[Builder, ...],
    ) -> None:
        self.optimizer = optimizer
        self._schedulers = schedulers
        self._calls = calls
        self._builders = builders
        self._built_for = len(optimizer.param_groups)

    @property
    def interval(self) -> Interval:
        """After what the host calls `step`: each `"epoch"`, or each `"step"` of the optimizer."""
        return self._calls.interval

    @property
    def monitor(self) -> str | None:
        """The metric that `step` is given, or None."""
        return self._calls.monitor

    @property
    def label(self) -> str:
        """The texts of its schedules, as a message names them."""
        return " and ".join(one.label for one in self._calls.counts)

    @property
    def calls_per_epoch(self) -> int | None:
        """How many calls of the host make an epoch; None if that is not known."""
        return self._calls.per_epoch

    @property
    def base_lrs(self) -> list[float | Tensor]:  # type: ignore[override]  # none of torch's methods that go by it is left
        """The rate of each parameter group that the schedule begins with."""
        return [group.get(FIRST_RATE, group["lr"]) for group in self.optimizer.param_groups]

    @functools.cached_property
    def _counted(self) -> tuple[Counted, ...]:
        """The schedules, made at the first step: a script that builds many schedulers may step none of them."""
        return self._calls.counted(self._schedulers)

    def step(self, metrics: Any = None, epoch: int | None = None) -> None:  # type: ignore[override]  # as that of ReduceLROnPlateau
        """After an epoch, or a step of the optimizer.

        Args:
            metrics: The value of `monitor`, where there is one.
            epoch: Not used; torch's schedulers have it.
        """
        del epoch
        if self.monitor is not None:
            self._check_metric(metrics)
        if self.last_epoch == 0:
            if not self.checks_order:
                self._take_as_stepped()
            elif not self.may_begin():
                warnings.warn(_ORDER, UserWarning, stacklevel=2)
        self.last_epoch += 1
        self._step_count += 1
        if len(self.optimizer.param_groups) > self._built_for:
            self._step_with_added(metrics)
            return
        for one in self._counted:
            one.step(self.last_epoch, metrics)

    def _check_metric(self, value: Any) -> None:
        following = " and ".join(one.label for one in self._calls.counts if one.stepping.monitor is not None)
        call = f"the scheduler {following} follows {self.monitor}: call step(value of {self.monitor})"
        if value is None:
            raise TypeError(call)
        try:
            float(value)
        except (TypeError, ValueError, RuntimeError) as error:
            raise TypeError(f"{call}, a number, not {shown(value)}") from error

    def _step_with_added(self, metrics: Any) -> None:
        """A step after `add_param_group`: schedules that have lists of rates fail, and others begin where it began."""
        groups = [one for one in self.optimizer.param_groups if FIRST_RATE not in one and one.get("lr") is not None]
        added = [(group, float(group["lr"])) for group in groups]
        try:
            for one in self._counted:
                one.step(self.last_epoch, metrics)
        except LossregError:
            raise
        except (LookupError, ValueError) as error:
            raise ConfigError(f"{self._say_added()}: {_WITH_ADDED}", setting="scheduler") from error
        moved = [rate for group, rate in added if float(group["lr"]) != rate]
        if moved and self.monitor is None and not self._has_said_added:
            self._has_said_added = True
            logger.warning(
                "%s: the rates of those that were added change in proportion from %s on; to have them follow it, %s",
                self._say_added(), ", ".join(f"{rate:g}" for rate in moved), _WITH_ADDED,
            )  # fmt: skip

    def _say_added(self) -> str:
        groups = counted(self._built_for, "parameter group")
        return f"the schedule {self.label} was built for {groups}, and there are {len(self.optimizer.param_groups)} now"

    def may_begin(self) -> bool:
        """Whether the optimizer has stepped, or a gradient scaler has left that out; also where neither can be seen."""
        optimizers = (self.optimizer, *getattr(self.optimizer, "members", ()))
        seen = [one for one in optimizers if hasattr(one.step, "_wrapped_by_lr_sched")]  # by torch's own schedulers
        if self.monitor is not None or not seen or self.optimizer.state:
            return True
        return any(getattr(one, "_opt_called", False) for one in seen) or _has_overflow(self.optimizer)

    def _take_as_stepped(self) -> None:
        """Has torch take it that the optimizers have stepped, as they have in another process.

        Torch looks in the first step of each schedule, also of one that begins behind another one.
        """
        for one in self._counted:
            inner_of(one).optimizer._opt_called = True  # type: ignore[attr-defined]  # torch sets it in each step

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
                    "groups": moved_options(inner_of(one).optimizer),
                    "state": inner_of(one).state_dict(),
                }
                for one in self._counted
            ],
        }

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state: rates are those of when it was saved, also where building this schedule has moved them.

        A schedule that stands elsewhere in this loop than in that of the state is stepped to its place anew, from the
        first rates of the state: where the training is longer, so that more epochs have rates above 0, and where an
        epoch has another number of steps.

        Raises:
            StateError: If it is the state of other schedules, or of ones that count something else.
        """
        pairs = self._checked(state_dict)
        was, change = int(state_dict["calls"]), Change.of(state_dict, self.calls_per_epoch)
        now = was
        if change is not None and self.goes_on_by == "epoch":
            now = round(was * change.now / change.was)
        moved = [place for place, (one, state) in enumerate(pairs) if is_elsewhere(one, state, was, now)]
        if moved and self.last_epoch:
            raise StateError(
                "the state to load is of another length: load it into a scheduler that has not stepped",
                where="the scheduler",
            )
        self.last_epoch, self._step_count = now, now + 1
        for place, (one, state) in enumerate(pairs):
            rate = saved_rate(one, state)
            set_options(inner_of(one).optimizer, state.get("groups", ()))  # building a schedule behind them moves them
            if place in moved:
                self._step_anew(place)
            else:
                inner_of(one).load_state_dict(state["state"])
            if change is not None:
                change.tell(one, now, rate)
            elif place in moved:
                logger.warning(
                    "the schedule %s was made for %s %ss and is now one for %s: its rate goes on at %s",
                    one.schedule.label, state["span"], one.schedule.stepping.interval, one.span,
                    changed_number(rate_of(one), rate),
                )  # fmt: skip
        self._keep_rates(moved)

    def _checked(self, state_dict: dict[str, Any]) -> list[tuple[Counted, dict[str, Any]]]:
        """Each schedule with its state, after a check that they are of the same texts."""
        if not is_state(state_dict):
            raise StateError(
                "the state to load is not that of such a schedule of lossreg.parts, but of torch's, or of other "
                "schedules: load the other states alone, and call scheduler.begin_after(epochs or steps), or begin a "
                "new training with the weights",
                where="the scheduler",
            )
        saved = state_dict["schedules"]
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
                    f"and this one counts {counts}s: write scheduler_interval={state['interval']!r}, or begin a "
                    "new training with the weights alone",
                    where="the scheduler",
                )
        return pairs

    def begin_after(self, calls: int) -> None:
        """Stands where it would after so many calls of `step`, for a loop that goes on without a state of it.

        Args:
            calls: How many epochs or steps there were, whichever it is stepped after.

        Raises:
            ConfigError: If it has stepped or loaded a state, if it follows a metric, whose values it would need, or if
                it is no number of calls, or of more than the loop has.
        """
        is_count = isinstance(calls, int) and not isinstance(calls, bool) and calls >= 0
        if not is_count:
            raise ConfigError(f"begin_after takes a number of epochs or steps, at least 0, not {shown(calls)}")
        if self.monitor is not None:
            raise ConfigError(f"a schedule that follows {self.monitor} goes on from its state alone: load that")
        if self.last_epoch:
            raise ConfigError(
                f"the schedule stands after {self.last_epoch} {self.interval}s already: call begin_after once, on a "
                "scheduler that has neither stepped nor loaded a state"
            )
        lengths = [one.span * one.every for one in self._counted if one.span is not None]
        if lengths and calls > max(lengths):
            raise ConfigError(f"begin_after({calls}): the loop has {max(lengths)} {self.interval}s in all")
        self.last_epoch, self._step_count = calls, calls + 1
        places = range(len(self._counted))
        for place in places:
            self._step_anew(place)
        self._keep_rates(places)

    def _step_anew(self, place: int) -> None:
        """Has a schedule stand where it does after the calls so far, from the first rates of the groups."""
        one = self._counted[place]
        begin_rates(inner_of(one).optimizer)
        one.schedule.scheduler = self._builders[place](self.optimizer)  # formulas keep the rates that they began with
        self._take_as_stepped()
        for _ in range(one.steps_after(self.last_epoch)):
            one.schedule.between_steps()

    def _keep_rates(self, places: Sequence[int]) -> None:
        """Has schedules keep their place where the state of the optimizer is loaded behind that of this."""
        if places:
            keep = functools.partial(_stand_again, self, self.last_epoch, first_rates(self.optimizer), places)
            self.optimizer.register_load_state_dict_post_hook(keep)


def _stand_again(
    scheduler: HostScheduler, calls: int, rates: Sequence[float], places: Sequence[int], optimizer: Optimizer
) -> None:
    """Behind `optimizer.load_state_dict`: the rates of schedules that have not stepped since."""
    if scheduler.last_epoch != calls:
        return
    for group, rate in zip(optimizer.param_groups, rates, strict=False):
        group.setdefault(FIRST_RATE, rate)  # the state of a training without a schedule has none
    for place in places:
        scheduler._step_anew(place)


def _has_overflow(optimizer: Optimizer) -> bool:
    """Whether a gradient, or the shard of it that this process has, is not finite."""
    gradients = (one.grad for group in optimizer.param_groups for one in group["params"] if one.grad is not None)
    local = (one.to_local() if hasattr(one, "to_local") else one for one in gradients)
    return any(not torch.isfinite(one.sum()) for one in local)
