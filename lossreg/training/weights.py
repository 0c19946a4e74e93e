"""Which weights a run evaluates, keeps and saves: those of training, the optimizer's own, or an average.

Training goes on with its own weights. At the end of an epoch the others take their place in the model, for everything
that looks at it there, and stay until the next epoch begins; so they are in it when the run is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

from lossreg.errors import ConfigError
from lossreg.training.batch_statistics import BatchStatistics
from lossreg.training.optim.modes import has_modes, set_training_mode

if TYPE_CHECKING:
    from torch import Tensor
    from torch.optim import Optimizer

    from lossreg.training.data.batch_plan import StepPlan
    from lossreg.training.data.reader import Batch
    from lossreg.training.optim.step import TrainingStep

RAW = "raw"

Holding = Callable[[], contextlib.AbstractContextManager[None]]


class Weights:
    """The weights of training, which is what the others go back to.

    Attributes:
        name: Which weights the run is about, in the setting's words.
        reason: Why.
        warning: A sentence to show before the run, or None.
        held: Which weights the model holds now, in the same words.
        holding: Makes a block in which signals wait; the run supplies it.
    """

    warning: str | None = None

    def __init__(self, optimizer: Optimizer, name: str, reason: str) -> None:
        self.name = name
        self.reason = reason
        self.held = RAW
        self.holding: Holding = contextlib.nullcontext
        self._optimizer = optimizer

    def begin_epoch(self) -> None:
        """Before each epoch: the model gets the weights of training."""
        if has_modes(self._optimizer):
            with self.holding():
                self._optimizer.train()  # some refuse to step if it was never called

    def wrapped(self, step: TrainingStep) -> TrainingStep | AveragedStep:
        """What makes the steps of the run."""
        return step

    def end_epoch(self, epoch: int) -> str:
        """After each epoch, in all processes: the model gets the weights to evaluate.

        Args:
            epoch: The epoch, from 0.

        Returns:
            Which they are.
        """
        del epoch
        return self.held

    def keep(self) -> str:
        """When a run fails, in one process: the model gets the weights to keep, with nothing computed for them.

        Returns:
            Which they are.
        """
        return self.held

    def describe(self) -> dict[str, Any]:
        """For the run record."""
        return {"used": self.name, "reason": self.reason}

    def state_dict(self) -> dict[str, Any]:
        """What a run goes on with, in addition to the states of model, loss and optimizer."""
        return {"name": self.name, "held": self.held}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave.

        Raises:
            ConfigError: If it is of other weights.
        """
        if state["name"] != self.name:
            raise ConfigError(f"the state is that of weights {state['name']}, and the run's are {self.name}")
        self.held = state["held"]


class OptimizerWeights(Weights):
    """Those that an optimizer with modes has for evaluation."""

    def __init__(self, optimizer: Optimizer, statistics: BatchStatistics, name: str, reason: str) -> None:
        super().__init__(optimizer, name, reason)
        self._statistics = statistics

    def begin_epoch(self) -> None:
        """Switches the optimizer to training."""
        self._statistics.put_back()
        with self.holding():
            set_training_mode(self._optimizer)
            self.held = RAW

    def end_epoch(self, epoch: int) -> str:
        """Switches the optimizer to evaluation, and makes the statistics of batch normalisation anew."""
        del epoch
        with self.holding():
            self._evaluate()
        self._statistics.make()
        return self.held

    def _evaluate(self) -> None:
        optimizer: Any = self._optimizer
        if self.held == RAW:
            optimizer.eval()
            self.held = self.name

    def keep(self) -> str:
        """Switches the optimizer to evaluation, unless the model has no statistics for these weights."""
        if self._statistics.made:
            self._evaluate()
            self._statistics.put_made()
        else:
            self._statistics.put_back()
            set_training_mode(self._optimizer)
            self.held = RAW
        return self.held

    def state_dict(self) -> dict[str, Any]:
        """With the statistics; the weights of training follow from the optimizer's own state."""
        return {**super().state_dict(), "statistics": self._statistics.state_dict()}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        super().load_state_dict(state)
        self._statistics.load_state_dict(state["statistics"])


class AveragedStep:
    """A step, and an update of the average behind it.

    Args:
        step: Makes the step.
        update: Takes the new weights into the average.
    """

    def __init__(self, step: TrainingStep, update: Callable[[], None]) -> None:
        self._step = step
        self._update = update

    def __call__(self, batches: Iterator[Batch], step: StepPlan) -> tuple[Tensor, int | Tensor]:
        """Takes the step, as `TrainingStep` does."""
        result = self._step(batches, step)
        self._update()
        return result

    @property
    def gradient_norm(self) -> Tensor | None:
        """Of the last step."""
        return self._step.gradient_norm
