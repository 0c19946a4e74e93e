"""The weights that the setting `weights` asks for, of a run's optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossreg.errors import ConfigError
from lossreg.training.averages import EpochAverage, MovingAverage
from lossreg.training.batch_statistics import BatchStatistics
from lossreg.training.optim.modes import has_modes
from lossreg.training.weights import RAW, OptimizerWeights, Weights
from lossreg.weights import WeightsChoice

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.loss.objective import Objective


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
