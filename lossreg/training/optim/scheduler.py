"""The learning-rate scheduler: what it counts, and when it steps."""

from __future__ import annotations

import functools
import math
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.errors import ConfigError, LossregError
from lossreg.registry.build import ResolvedComponent
from lossreg.registry.nested import interval_of, monitor_of
from lossreg.training.choosing import BY_NAME, Directions, check_direction, gets_greater, instead_of, watched
from lossreg.training.optim.given import make
from lossreg.training.optim.needs import asks_for
from lossreg.training.optim.optimizer import check_step

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

    from lossreg.run_spec import Interval
    from lossreg.training.choice import Choice
    from lossreg.training.optim.rates import EpochRates


@attrs.frozen
class Stepping:
    """When a scheduler steps.

    Attributes:
        interval: What one of its steps counts.
        monitor: The metric that its step takes, or None.
        epochs: Epochs of the run.
        steps_per_epoch: Steps of the optimizer in each.
        better: `higher` or `lower`, whichever values of that metric are better; None without one.
    """

    interval: Interval
    monitor: str | None
    epochs: int
    steps_per_epoch: int
    better: str | None = None

    @property
    def span(self) -> int:
        """How many epochs or steps, whichever it counts, the run has."""
        return self.epochs * (self.steps_per_epoch if self.interval == "step" else 1)


def choose_stepping(
    choice: Choice | None,
    requested: Interval | None,
    metrics: Sequence[str],
    epochs: int,
    steps_per_epoch: int,
    directions: Directions = BY_NAME,
) -> Stepping:
    """Decides from what a scheduler declares, and from the settings, when it steps.

    Args:
        choice: The scheduler, or None.
        requested: The interval that the settings ask for, or None.
        metrics: The metrics of an epoch's row.
        epochs: Epochs of the run.
        steps_per_epoch: Steps of the optimizer in each.
        directions: Which values of the metrics are better that the run names.

    Raises:
        ConfigError: If the run does not have what the scheduler asks for.
    """
    if choice is None or choice.resolved is None:
        return Stepping(requested or "epoch", None, epochs, steps_per_epoch)
    _check_interval(choice.resolved)
    component = choice.component
    followed = monitor_of(choice.resolved)
    monitor = None if followed is None else watched(followed, metrics)
    if monitor is not None and monitor not in metrics:
        raise ConfigError(
            f"scheduler {component.name} follows the metric {monitor!r}, which this run does not have: "
            f"{instead_of(monitor, metrics)}"
        )
    if monitor is not None and requested == "step":
        raise ConfigError(
            f"scheduler {component.name} follows {monitor}, which there is once an epoch; leave scheduler_interval "
            "(--sched-interval) out"
        )
    if monitor is None:
        return Stepping(requested or interval_of(choice.resolved), None, epochs, steps_per_epoch)
    check_direction(f"scheduler {component.name}", monitor, directions)
    better = "higher" if gets_greater(monitor, directions) else "lower"
    return Stepping(requested or "epoch", monitor, epochs, steps_per_epoch, better)


def _check_interval(value: Any) -> None:
    """Checks that no component, nested ones included, is told what the loop tells it."""
    if isinstance(value, ResolvedComponent):
        for name in value.written:
            if value.entry.component.runtime_args.get(name) == "interval":
                raise ConfigError(
                    f"{name} of {value.entry.name} follows the loop; set both with scheduler_interval "
                    "(--sched-interval)"
                )
        _check_interval(tuple(value.params.values()))
    elif isinstance(value, tuple):
        for item in value:
            _check_interval(item)


@attrs.define(eq=False)  # not frozen, which costs a microsecond for each that is made
class Schedule:
    """A scheduler with its stepping: it steps between steps or epochs, never after the last.

    No rate is needed after the last, and a schedule need not have one there (`1 / (epochs - epoch)`).

    Attributes:
        scheduler: The scheduler; None is a constant rate.
        stepping: When it steps.
        label: How a person would write it.
        may_skip: Whether the optimizer may not have stepped before: torch would suspect a wrong order of calls.
        takes_length: Whether it is told how many epochs or steps the run has.
        rates: The rates to come, or None if they are not known.
    """

    scheduler: LRScheduler | None
    stepping: Stepping
    label: str
    may_skip: bool = False
    takes_length: bool = False
    rates: Sequence[EpochRates] | None = None

    @property
    def counts_steps(self) -> bool:
        """Whether it steps between the steps of an epoch."""
        return self.scheduler is not None and self.stepping.interval == "step"

    def between_steps(self) -> None:
        """Before each step of an epoch but the first; only for a schedule that counts steps."""
        self._step()

    def after_epoch(self, epoch: int, row: Mapping[str, Any]) -> None:
        """After the evaluation of an epoch.

        Args:
            epoch: The epoch, from 0.
            row: Its metrics.
        """
        if epoch == self.stepping.epochs - 1:
            return
        monitor = self.stepping.monitor
        if monitor is None:
            self._step()
        else:
            self._step(math.nan if row[monitor] is None else row[monitor])

    def _step(self, *metric: float) -> None:
        if self.scheduler is None:
            return
        try:
            if not self.may_skip:
                self.scheduler.step(*metric)  # type: ignore[arg-type]  # torch annotates it as the number of an epoch
                return
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
                self.scheduler.step(*metric)  # type: ignore[arg-type]  # see above
        except Exception as error:
            if not isinstance(error, LossregError):
                error.add_note(f"lossreg: raised by the scheduler {self.label}")
            raise


def takes_length(value: Any) -> bool:
    """Whether a scheduler, or one that is nested in it, is told how long the run is."""
    if isinstance(value, ResolvedComponent):
        given = value.entry.component.runtime_args
        taken = {what for name, what in given.items() if name not in value.written}
        return bool(taken & {"epochs", "span", "total_steps"}) or takes_length(tuple(value.params.values()))
    return isinstance(value, tuple) and any(map(takes_length, value))


def build_scheduler(choice: Choice | None, optimizer: Optimizer, runtime: Mapping[str, Any]) -> LRScheduler | None:
    """The scheduler of an optimizer; None for a constant rate.

    Raises:
        LossregError: If it cannot be built, or an object is not a scheduler, or another optimizer's.
    """
    if choice is None:
        return None
    scheduler = choice.build(optimizer, runtime={**runtime, "optimizer": optimizer})
    if choice.given is not None:
        scheduler = (
            scheduler if is_made(scheduler) else make(scheduler, optimizer, choice.label, "scheduler", "optimizer")
        )
        if not hasattr(scheduler, "step"):
            raise ConfigError(f"the scheduler {scheduler!r} has no step(), and makes nothing that has")
        check_step(scheduler, choice.label, "monitor=")
    if getattr(scheduler, "optimizer", optimizer) is not optimizer:
        raise of_another(choice.label)
    return scheduler  # type: ignore[no-any-return]  # it has what the loop calls


def scheduler_builder(choice: Choice, runtime: Mapping[str, Any]) -> Callable[[Optimizer], LRScheduler]:
    """What builds the schedulers of one optimizer after another; what goes by texts is done once.

    The caller checks that one moves the rates of its optimizer.

    Args:
        choice: The scheduler.
        runtime: Runtime name -> value, without the optimizer.

    Raises:
        LossregError: If it cannot be built.
    """
    resolved = choice.resolved
    if resolved is None or choice.given is not None or asks_for(resolved, "optimizer"):
        return functools.partial(_build_one, choice, runtime)
    return resolved.builder(runtime)


def _build_one(choice: Choice, runtime: Mapping[str, Any], optimizer: Optimizer) -> LRScheduler:
    scheduler = build_scheduler(choice, optimizer, runtime)
    assert scheduler is not None  # noqa: S101  # a choice makes one
    return scheduler


def of_another(label: str) -> ConfigError:
    """The error of a scheduler that moves the rates of another optimizer than it was built for.

    Args:
        label: How a person would write the scheduler.
    """
    return ConfigError(f"the scheduler {label} belongs to another optimizer")


def is_made(given: object) -> bool:
    """Whether a Python object is an optimizer or a scheduler, not a function or class that makes one."""
    return given is not None and (not callable(given) or (hasattr(given, "step") and not isinstance(given, type)))
