"""Ignite: a schedule by name as a handler of a trainer. Tried with pytorch-ignite 0.5."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from ignite.engine import Engine, Events

from lossreg.adapters.ignite_modes import SwitchedModes
from lossreg.embedding.arguments import check_given, check_optimizer, check_parts
from lossreg.embedding.counted import begin_rates, other_schedule
from lossreg.embedding.followed import followed_value
from lossreg.embedding.needs import check_needs
from lossreg.embedding.overruled import warn_overruled
from lossreg.errors import ConfigError, StateError
from lossreg.values import counted, shown

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.embedding.host_parts import HostParts
    from lossreg.embedding.host_scheduler import HostScheduler

HOST = "the supervised trainer of Ignite"
_CALL = "PartsScheduler(parts, optimizer)"


class PartsScheduler:
    """Steps the schedule of the parts between the epochs or iterations of a trainer, whose numbers it knows.

    It steps before the next epoch or iteration, when all metrics of the last are known. An optimizer with modes is
    switched to training before each epoch, and to evaluation with the last iteration, before what the trainer calls
    after the epoch. A training that begins anew (`trainer.run` after one that has ended) begins the schedule anew.

    Args:
        parts: Of `lossreg.parts`.
        optimizer: What `parts.optimizer` gave.
        accumulate: How many iterations make a step of the optimizer (`gradient_accumulation_steps`).
        evaluator: The engine that has the metric that the schedule follows, where it follows one.

    Attributes:
        scheduler: The schedule, from the start of the trainer on; None for a constant rate.
    """

    scheduler: HostScheduler | None = None

    def __init__(self, parts: HostParts, optimizer: Optimizer, *, accumulate: int = 1, evaluator: Any = None) -> None:
        check_parts(parts, _CALL)
        check_optimizer(optimizer, _CALL)
        is_count = isinstance(accumulate, int) and not isinstance(accumulate, bool) and accumulate > 0
        check_given(is_count, accumulate, _CALL, "accumulate is a whole number of iterations, at least 1")
        check_given(evaluator is None or _is_engine(evaluator), evaluator, _CALL, "evaluator is an engine of Ignite")
        if parts.monitor is not None and evaluator is None:
            raise ConfigError(
                f"the scheduler {parts.texts['scheduler']} follows {parts.monitor}: write PartsScheduler(..., "
                "evaluator=ENGINE), the engine that has this metric"
            )
        self._parts, self._optimizer, self._accumulate, self._evaluator = parts, optimizer, accumulate, evaluator
        self._saved: dict[str, Any] | None = None
        self._is_attached = False
        self._modes = SwitchedModes(optimizer) if parts.needs.modes else None
        self._metric: tuple[int, float] | None = None  # that of the last epoch, for a checkpoint behind it

    def attach(self, trainer: Any) -> None:
        """Has a trainer call it.

        Args:
            trainer: An engine of Ignite.

        Raises:
            ConfigError: If the optimizer needs what a supervised trainer of Ignite does not do, or the schedule would
                be stepped twice.
        """
        check_given(
            _is_engine(trainer), trainer, "PartsScheduler.attach(trainer)", "the trainer is an engine of Ignite"
        )
        if self._is_attached or any(one is self._optimizer for one in _scheduled(trainer)):
            raise ConfigError(
                "the schedule of this optimizer is attached to a trainer already, and would step twice; attach it "
                "once, and write a PartsScheduler(parts, optimizer) of its own for another trainer"
            )
        if _is_of_ignite(trainer._process_function):
            check_needs(self._parts, HOST, closures=False, modes=True)
        self._is_attached = True
        if self._modes is not None:
            self._modes.attach(trainer)
        if self._parts.monitor is not None:
            self._evaluator.add_event_handler(Events.COMPLETED, self._note_metric, trainer)
        trainer.add_event_handler(Events.STARTED, self._start)
        trainer.add_event_handler(Events.EPOCH_STARTED, self._before_epoch)
        trainer.add_event_handler(Events.ITERATION_STARTED, self._before_iteration)

    def _start(self, trainer: Any) -> None:
        """Builds the schedule for the length of this run, where an earlier one or a checkpoint left it."""
        if not self._parts.schedules_rates:
            return
        saved = self._saved if self.scheduler is None else self.scheduler.state_dict()
        if trainer.state.iteration == 0:
            self._check_begins()
            saved = None
        elif saved is None:
            raise StateError(
                f"the trainer goes on after {trainer.state.iteration} iterations, and the schedule has no state: load "
                "what PartsScheduler.state_dict() gave, or begin with a new trainer",
                where="the scheduler",
            )
        groups = self._optimizer.param_groups
        now = [group.get("lr") for group in groups]
        begin_rates(self._optimizer)
        told = self._parts.for_loop(**self._loop_of(trainer))
        warn_overruled(self._parts, told, HOST)
        self.scheduler = told.scheduler(self._optimizer)
        if self.scheduler is not None and saved is not None:
            for group, lr in zip(groups, now, strict=True):
                group["lr"] = lr
            self.scheduler.load_state_dict(saved)
        self._saved = None
        self._check_accumulated(trainer)

    def _check_accumulated(self, trainer: Any) -> None:
        """Checks that a schedule that counts steps steps when Ignite's own update does."""
        accumulated = _accumulated_by(trainer)
        counts_steps = self.scheduler is not None and self.scheduler.interval == "step"
        if counts_steps and accumulated not in (None, self._accumulate):
            raise ConfigError(
                f"the trainer takes a step of the optimizer every {accumulated} iterations, and the schedule of the "
                f"PartsScheduler one every {self._accumulate}: write gradient_accumulation_steps=N of the trainer as "
                f"PartsScheduler(..., accumulate={accumulated}), too"
            )

    def _check_begins(self) -> None:
        """Checks that no checkpoint of a later epoch was loaded for a trainer that begins with its first."""
        calls = (self._saved or {}).get("calls", 0)
        if calls:
            raise StateError(
                f"the state is that of a schedule after {calls} steps, and the trainer begins with its first epoch: "
                "load the state of the trainer, too, or leave that of the schedule out",
                where="the scheduler",
            )

    def _loop_of(self, trainer: Any) -> dict[str, int]:
        length, epochs = trainer.state.epoch_length, trainer.state.max_epochs
        if epochs is not None and epochs < 1:
            raise ConfigError(f"max_epochs={shown(epochs)} of trainer.run leaves nothing to train; write 1 or more")
        told = {} if epochs is None else {"epochs": int(epochs)}
        if length is None:
            return told
        if length % self._accumulate and self._parts.interval == "step":
            raise ConfigError(
                f"an epoch of {length} iterations is no whole number of steps of {self._accumulate} accumulated ones, "
                "which a schedule that counts steps needs; write lossreg.parts(..., scheduler_interval='epoch')"
            )
        return {**told, "steps_per_epoch": max(length // self._accumulate, 1)}

    def _before_epoch(self, trainer: Any) -> None:
        scheduler = self.scheduler
        if scheduler is None or scheduler.interval != "epoch" or scheduler.last_epoch >= trainer.state.epoch - 1:
            return  # of an epoch that was broken off it has the rate
        if scheduler.monitor is None:
            scheduler.step()
            return
        scheduler.step(followed_value(scheduler, self._metrics_after(trainer.state.epoch - 1), "the evaluator has"))

    def _metrics_after(self, epoch: int) -> Mapping[str, Any]:
        """What the evaluator measured after an epoch; in a process that goes on behind it, the saved metric alone."""
        metrics: Mapping[str, Any] = self._evaluator.state.metrics
        if metrics:
            return metrics
        if self._metric is not None and self._metric[0] == epoch:
            return {str(self._parts.monitor): self._metric[1]}
        raise ConfigError(
            f"the scheduler {self._parts.texts['scheduler']} follows the metric {self._parts.monitor!r}, and the "
            "evaluator has measured nothing: have the trainer run it after each epoch; a checkpoint has the metric "
            "if it is written after the evaluator has run"
        )

    def _note_metric(self, evaluator: Any, trainer: Any) -> None:
        """After the evaluator: in another process, that goes on after this epoch, it will not have run."""
        value = evaluator.state.metrics.get(self._parts.monitor)
        self._metric = None if value is None else (int(trainer.state.epoch), float(value))

    def _before_iteration(self, trainer: Any) -> None:
        if self._modes is not None:
            self._modes.before_iteration()
        done = trainer.state.iteration - 1
        if self.scheduler is None or self.scheduler.interval != "step" or not done or done % self._accumulate:
            return
        if not self.scheduler.last_epoch:
            self._check_stepped(self.scheduler)
        self.scheduler.step()

    def _check_stepped(self, scheduler: HostScheduler) -> None:
        """Before the first step of a schedule: an update of one's own may accumulate more than it was said to."""
        if not scheduler.may_begin():
            scheduler.checks_order = False  # it would say that the loop has the wrong order
            warnings.warn(
                f"the schedule {scheduler.label} steps every {counted(self._accumulate, 'iteration')}, and the "
                "optimizer has not stepped yet: where the update accumulates gradients of N iterations, write "
                "PartsScheduler(..., accumulate=N)",
                UserWarning,
                stacklevel=2,
            )

    def state_dict(self) -> dict[str, Any]:
        """For `ignite.handlers.Checkpoint`."""
        if self.scheduler is not None:
            return {**self.scheduler.state_dict(), "metric": self._metric}
        return self._saved or ({} if self._parts.schedules_rates else {"calls": 0, "schedules": []})

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Goes on from a state when the trainer starts.

        Raises:
            StateError: If it is no state of a PartsScheduler, or the parts have no schedule and it is that of one.
        """
        if not isinstance(state_dict, Mapping):
            raise StateError(
                f"the state to load is what PartsScheduler.state_dict() gave, not {shown(state_dict)}",
                where="the scheduler",
            )
        was = [str(one.get("text")) for one in state_dict.get("schedules", [])]
        if was and not self._parts.schedules_rates:
            raise other_schedule(was, [])
        self._saved, self.scheduler = dict(state_dict) or None, None
        self._metric = state_dict.get("metric")


def _is_engine(given: Any) -> bool:
    return isinstance(given, Engine)


def _accumulated_by(trainer: Any) -> int | None:
    """How many iterations make a step in an update of Ignite's, which keeps the argument; None in one's own."""
    update = trainer._process_function
    if not _is_of_ignite(update) or not inspect.isfunction(update):
        return None
    accumulated = inspect.getclosurevars(update).nonlocals.get("gradient_accumulation_steps")
    return accumulated if isinstance(accumulated, int) else None


def _is_of_ignite(update: Any) -> bool:
    return str(getattr(update, "__module__", "")).startswith("ignite.")


def _scheduled(trainer: Any) -> list[Any]:
    """The optimizers whose schedules are attached to a trainer."""
    handlers = trainer._event_handlers.get(Events.STARTED, [])
    owners = [getattr(handler, "__self__", None) for handler, *_ in handlers]
    return [one._optimizer for one in owners if isinstance(one, PartsScheduler)]
