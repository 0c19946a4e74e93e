"""The state of a run, in one place."""

from __future__ import annotations

import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.plugins.participants import Participant
from lossreg.run_spec import OBSERVE, RunSpec
from lossreg.training.choosing import Best
from lossreg.training.stops import check_reason

if TYPE_CHECKING:
    from lossreg.training.loss.adapter import Criterion
    from lossreg.training.parts import Parts


@attrs.define(eq=False)
class Run:
    """A run as hooks and observers see it.

    Attributes:
        spec: What decides the run, with full ids.
        directory: The run directory.
        parts: Data set, model, loss, optimizer and scheduler, ready for the loop.
        epoch: The epoch under way, from 0.
        step: Steps of the optimizer that are done.
        best: The best epoch so far and its weights, for a run that keeps them (`patience`); else None.
        tested: The row of the test split, at the end of a run that has a validation split; else None.
        stop_reason: Why the run is to end early, or None.
        stopped_by: The plugin, file or observer that asked for it, the setting that ended it (`patience`, `target`,
            `max_steps` or `max_time`), or None.
        participants: The plugins and files whose run hooks are called.
        observers: The classes of the caller's observers.
        began: When this process made it, by `time.perf_counter()`.
        seconds_before: What the run had taken before, in processes that ended.
        exempt: The tensors that are not trained and were not finite before the run, such as a mask of -inf.
    """

    spec: RunSpec
    directory: Path
    parts: Parts
    epoch: int = 0
    step: int = 0
    best: Best | None = None
    tested: dict[str, Any] | None = None
    stop_reason: str | None = None
    stopped_by: str | None = None
    participants: tuple[Participant, ...] = ()
    observers: tuple[str, ...] = ()
    began: float = attrs.field(factory=time.perf_counter)
    seconds_before: float = 0.0
    exempt: frozenset[str] = frozenset()

    @property
    def seconds(self) -> float:
        """How long the run has taken so far, in all processes that had a part of it."""
        return self.seconds_before + time.perf_counter() - self.began

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.parts.device

    @property
    def model(self) -> torch.nn.Module:
        """The model under training."""
        return self.parts.objective.model

    @property
    def loss(self) -> Criterion:
        """The loss; its own weights, if it has any, are trained with the model's."""
        return self.parts.objective.adapter.criterion

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self.parts.optimization.optimizer

    @property
    def settings(self) -> dict[str, Any]:
        """All settings, and under `optimizer.lr` and the like all parameters of the components, as plain values."""
        given = {field: self.parts.objects.get(field, value) for field, value in self.spec.items() if field != OBSERVE}
        for name, facts in self.parts.components.items():
            if not name.startswith("observer."):
                given |= {f"{name}.{key}": value for key, value in facts["params"].items()}
        return given

    @property
    def kept_epoch(self) -> int | None:
        """The epoch whose weights are kept, if that is not simply the last."""
        return None if self.best is None else self.best.epoch

    @property
    def test_read(self) -> int:
        """How often the test split was evaluated so far."""
        return self.parts.samples.evaluations["test"]

    @property
    def repeatable(self) -> bool:
        """Whether the run directory is enough to repeat the run: not if an object in it had no text, or stopped it."""
        return self.parts.repeatable and self.stopped_by not in self.observers

    def request_stop(self, reason: str) -> None:
        """Ends the run cleanly: evaluated, recorded, with exit code 0.

        It acts at the next logged step or the end of the epoch, whichever comes first.

        Args:
            reason: One line for the record.

        Raises:
            ConfigError: If it is not one line of text.
        """
        check_reason(reason)
        self.stop_reason = reason
