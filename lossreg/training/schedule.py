"""The learning rates of a run, before it starts."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs

if TYPE_CHECKING:
    from torch.optim import Optimizer
    from torch.optim.lr_scheduler import LRScheduler

#: Steps that are tried out; a longer schedule that counts steps is not (0.2 s on a slow core).
MOST_STEPS = 20_000


@attrs.frozen
class EpochRates:
    """The learning rate at an epoch's first and last step."""

    first: float
    last: float


def preview_rates(
    optimizer: Optimizer,
    build_scheduler: Callable[[Optimizer], LRScheduler] | None,
    interval: str,
    epochs: int,
    steps_per_epoch: int,
) -> list[EpochRates] | None:
    """Steps a scheduler through a whole run.

    Args:
        optimizer: The run's optimizer of throw-away weights.
        build_scheduler: Makes the run's scheduler for it; None is a constant rate.
        interval: What the scheduler counts, `epoch` or `step`.
        epochs: Epochs of the run.
        steps_per_epoch: Steps in each.

    Returns:
        The rates of each epoch, of the first parameter group; None if that would take too many steps.

    Raises:
        LossregError: Whatever the scheduler raises on its way.
    """
    if build_scheduler is None:
        return [EpochRates(rate(optimizer), rate(optimizer))] * epochs
    scheduler = build_scheduler(optimizer)
    if interval == "step" and epochs * steps_per_epoch > MOST_STEPS:
        return None
    rates = []
    with warnings.catch_warnings():
        # No optimizer step comes between: there is nothing to train here.
        warnings.filterwarnings("ignore", "Detected call of `lr_scheduler.step", UserWarning)
        for epoch in range(epochs):
            first = rate(optimizer)
            for step in range(steps_per_epoch if interval == "step" else 0):
                if step:
                    scheduler.step()
            rates.append(EpochRates(first, rate(optimizer)))
            if epoch < epochs - 1:
                scheduler.step()
    return rates


def rate(optimizer: Optimizer) -> float:
    """The learning rate of the first parameter group."""
    return float(optimizer.param_groups[0]["lr"])


def zero_rate_warning(rates: Sequence[EpochRates] | None) -> str | None:
    """A sentence about epochs that cannot change the weights, or None."""
    still = [epoch for epoch, rates in enumerate(rates or []) if rates.first == rates.last == 0]
    if not still:
        return None
    if len(still) == len(rates or []):
        return "the learning rate is 0 in every epoch: the weights stay as they are"
    named = f"epoch {still[0]}" if len(still) == 1 else f"epochs {', '.join(map(str, still[:10]))}"
    more = f" and {len(still) - 10} more" if len(still) > 10 else ""
    return f"the learning rate is 0 in {named}{more}: the weights stay as they are there"
