"""Averages of the weights of training: over steps, or over the ends of epochs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_multi_avg_fn

from lossreg.training.batch_statistics import BatchStatistics
from lossreg.training.weights import RAW, AveragedStep, Weights
from lossreg.weights import WeightsChoice

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.loss.objective import Objective
    from lossreg.training.optim.step import TrainingStep

LEFT = 0.1  # the share of the first step's weights in an average at the end of a run that is worth a warning


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
