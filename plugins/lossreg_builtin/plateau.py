"""ReduceLROnPlateau with the metric as a parameter."""

from __future__ import annotations

import re
from typing import Literal

import torch

#: Names of metrics of which higher values are better, by their ends; a loss or an error of that end is none.
_HIGHER = re.compile(
    r"(?!.*(loss|err))(.*[^a-z])?(accuracy|acc|top_?[15]|f1(_score)?|precision|recall|sensitivity|specificity|auc|auroc|"
    r"ap|map(_?[0-9]+)?|iou|miou|dice|jaccard|kappa|mcc|r2|bleu|rouge[1-9l]?|psnr|ssim)"
)


class ReduceLROnPlateau(torch.optim.lr_scheduler.ReduceLROnPlateau):
    """Multiplies the rate by a factor when a metric has not improved for some epochs.

    Equals `torch.optim.lr_scheduler.ReduceLROnPlateau`, whose `step` is given the metric.

    Args:
        optimizer: The optimizer whose rates are set.
        monitor: The metric of an epoch's row that is followed.
        mode: Whether less is better (`"min"`) or more (`"max"`); `"auto"` is `"max"` for a metric of which
            higher values are better, as the metric declares; of those that declare nothing, as in other trainers, for a
            name that ends in a word such as accuracy, acc, f1, auc, iou or dice.
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
            seems_higher = better is None and _HIGHER.fullmatch(monitor.lower()) is not None
            mode = "max" if better == "higher" or seems_higher else "min"
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
