"""Which weights a run evaluates, keeps and saves: those of training, the optimizer's own, or an average.

Training goes on with its own weights. At the end of an epoch the others take their place in the model, for everything
that looks at it there, and stay until the next epoch begins; so they are in it when the run is over.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from lossreg.errors import ConfigError
from lossreg.training.batch_statistics import BatchStatistics
from lossreg.training.optim.modes import has_modes, set_training_mode
from lossreg.weights import WeightsChoice

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.data.batch_plan import StepPlan
    from lossreg.training.data.reader import Batch
    from lossreg.training.loss.objective import Objective
    from lossreg.training.optim.step import TrainingStep

RAW = "raw"
LEFT = 0.1  # the share of the first step's weights in an average at the end of a run that is worth a warning

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


class AveragedWeights(Weights):
    """An average of the weights of training: of all parameters of model and loss that are trained.

    They are only ever copied into the model, never swapped with it, so that a signal leaves no mixture of the two:
    both are whole elsewhere, and can be copied again.
    """

    def __init__(
        self,
        optimizer: Optimizer,
        objective: Objective,
        statistics: BatchStatistics,
        name: str,
        average: Callable[[Any, Any, Any], None],
    ) -> None:
        super().__init__(optimizer, name, "requested")
        self._objective = objective
        self._statistics = statistics
        self._average = average
        self._count = 0
        self._averages: dict[str, Tensor] = {}
        self._of_training: dict[str, Tensor] | None = None  # there are some while the model holds the average
        self._sources: list[Tensor] = []

    def begin_epoch(self) -> None:
        """Puts the weights of training back."""
        self._put_back()
        super().begin_epoch()
        if self._count:
            self._join()

    def _put_back(self) -> None:
        self._statistics.put_back()
        if self._of_training is not None:
            self._copy(self._of_training)
            self._of_training = None
        self.held = RAW

    @torch.no_grad()
    def _update(self) -> None:
        """Takes the weights of the model into the average."""
        if self._count:
            averages = list(self._averages.values())
            values = [one.to(average.dtype) for average, one in zip(averages, self._sources, strict=True)]
            self._average(averages, values, self._count)
        else:
            self._join()
        self._count += 1

    def _join(self) -> None:
        """Starts the averages of what is trained from now on, which had the same value in all steps before."""
        for name, parameter in self._objective.trainable().items():
            if name not in self._averages:
                # A 16-bit average would lose what a step changes.
                dtype = torch.float32 if parameter.dtype in (torch.float16, torch.bfloat16) else parameter.dtype
                self._averages[name] = parameter.detach().to(dtype, copy=True)
        parameters = self._parameters()
        self._sources = [parameters[name] for name in self._averages]

    def _parameters(self) -> dict[str, Tensor]:
        found: dict[str, Tensor] = dict(self._objective.model.named_parameters())
        return found | {f"loss.{name}": one for name, one in self._objective.loss.named_parameters()}

    @torch.no_grad()
    def _copy(self, values: Mapping[str, Tensor]) -> None:
        parameters = self._parameters()
        for name, value in values.items():
            parameters[name].copy_(value)

    def end_epoch(self, epoch: int) -> str:
        """Puts the average into the model, and makes the statistics of batch normalisation anew."""
        del epoch
        if self._count:
            self._put_average()
            self._statistics.make()
        return self.held

    def _put_average(self) -> None:
        if self._of_training is None:
            parameters = self._parameters()
            self._of_training = {name: parameters[name].detach().clone() for name in self._averages}
        self._copy(self._averages)
        self.held = self.name

    def keep(self) -> str:
        """Puts the average into the model, or the weights of training if it has no statistics for the average."""
        if self._count and self._statistics.made:
            self._put_average()
            self._statistics.put_made()
        else:
            self._put_back()
        return self.held

    def state_dict(self) -> dict[str, Any]:
        """With the average, and the weights of training if the model does not hold them."""
        return {
            **super().state_dict(),
            "count": self._count,
            "averages": self._averages,
            "of_training": self._of_training,
            "statistics": self._statistics.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes what `state_dict` gave."""
        super().load_state_dict(state)
        parameters = self._parameters()
        self._count = state["count"]
        self._averages = {name: value.to(parameters[name].device).clone() for name, value in state["averages"].items()}
        self._of_training = state["of_training"]
        self._statistics.load_state_dict(state["statistics"])


class MovingAverage(AveragedWeights):
    """The exponential moving average over steps, which starts with the weights after the first step."""

    def __init__(
        self, optimizer: Optimizer, objective: Objective, statistics: BatchStatistics, choice: WeightsChoice, steps: int
    ) -> None:
        average = get_ema_multi_avg_fn(choice.decay)
        super().__init__(optimizer, objective, statistics, choice.text, average)
        left = choice.decay ** (steps - 1)
        if left > LEFT:
            self.warning = (
                f"{choice.text} averages over more steps than the run has: the weights after the first of {steps:,} "
                f"still have a share of {left:.0%} at the end; a smaller decay forgets them"
            )

    def wrapped(self, step: TrainingStep) -> AveragedStep:
        """Each step is followed by an update."""
        return AveragedStep(step, self._update)


class EpochAverage(AveragedWeights):
    """The mean of the weights at the ends of the epochs from one on; until then the weights of training."""

    def __init__(
        self,
        optimizer: Optimizer,
        objective: Objective,
        statistics: BatchStatistics,
        choice: WeightsChoice,
        epochs: int,
    ) -> None:
        super().__init__(optimizer, objective, statistics, choice.text, get_swa_multi_avg_fn())
        self._first = choice.first_epoch(epochs)
        self.reason = f"requested: the mean over the ends of epochs {self._first} to {epochs - 1}"

    def end_epoch(self, epoch: int) -> str:
        """Takes the weights into the mean first."""
        if epoch >= self._first:
            self._update()
        return super().end_epoch(epoch)


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


def choose_weights(
    text: str,
    optimizer: Optimizer,
    label: str,
    objective: Objective,
    statistics: BatchStatistics,
    epochs: int,
    steps: int,
) -> Weights:
    """What the setting `weights` says.

    Args:
        text: The setting.
        optimizer: Of the run.
        label: The optimizer as a person would write it.
        objective: Model and loss.
        statistics: Of the model's batch normalisation.
        epochs: Of the run.
        steps: Of the run.

    Raises:
        ConfigError: If the optimizer has no weights of its own.
    """
    choice = WeightsChoice.parse(text)
    modes = has_modes(optimizer)
    if choice.kind == "ema":
        return MovingAverage(optimizer, objective, statistics, choice, steps)
    if choice.kind == "swa":
        return EpochAverage(optimizer, objective, statistics, choice, epochs)
    if choice.kind == "optimizer" and not modes:
        raise ConfigError(
            f"weights (--weights) is optimizer, but the optimizer {label} has no weights of its own for evaluation "
            "(it has no train() and eval()); leave the setting out, or write ema(0.999)"
        )
    if choice.kind == "raw" and modes:
        return Weights(
            optimizer, RAW, "requested: those that the optimizer trains with, not those it has for evaluation"
        )
    if modes:
        why = "requested" if choice.kind == "optimizer" else "the optimizer has weights of its own for evaluation"
        return OptimizerWeights(optimizer, statistics, "optimizer", why)
    return Weights(optimizer, RAW, "requested" if choice.kind == "raw" else "the optimizer has no others")
