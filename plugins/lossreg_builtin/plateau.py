"""ReduceLROnPlateau with the metric as a parameter."""

from __future__ import annotations

from typing import Literal

import torch


class ReduceLROnPlateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """Multiplies the rate by a factor when a metric has not improved for some epochs.

    Equals `torch.optim.lr_scheduler.ReduceLROnPlateau`, whose `step` is given the metric.

    Args:
        optimizer: The optimizer whose rates are set.
        monitor: The metric of an epoch's row that is followed.
        mode: Whether less is better (`"min"`) or more (`"max"`); `"auto"` is `"max"` for a metric of which
            higher values are better, as the metric declares; of those that every run measures, for an accuracy.
        factor: What the rate is multiplied by, below 1.
        patience: How many epochs in a row may pass without an improvement.
        threshold: How much better is an improvement.
        threshold_mode: Whether the threshold is relative to the best value, or absolute.
        cooldown: How many epochs after a reduction are not counted.
        min_lr: The lowest rate; a list has one for each parameter group.
        eps: A smaller change of the rate than this is not made.
        better: Which values of the metric are better, by which `"auto"` goes; the runner supplies it.
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        monitor: str = "test_loss",
        mode: Literal["auto", "min", "max"] = "auto",
        factor: float = 0.1,
        patience: int = 10,
        threshold: float = 1e-4,
        threshold_mode: Literal["rel", "abs"] = "rel",
        cooldown: int = 0,
        min_lr: list[float] | float = 0,
        eps: float = 1e-8,
        better: Literal["higher", "lower"] | None = None,
    ) -> None:
        if mode == "auto":
            is_accuracy = better is None and monitor.endswith("accuracy")
            mode = "max" if better == "higher" or is_accuracy else "min"
        super().__init__(
            optimizer,
            mode=mode,
            factor=factor,
            patience=patience,
            threshold=threshold,
            threshold_mode=threshold_mode,
            cooldown=cooldown,
            min_lr=min_lr,
            eps=eps,
        )
