"""The area under the ROC curve."""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor


class AUROC:
    """Area under the ROC curve: how likely a sample of a class has a greater probability of it than one of another.

    Equal probabilities count as a half. Of two classes it is that of class 1. Of more, each class is held against all
    others, and these areas are averaged; a class that has no target, or all of them, does not count. scikit-learn's
    `roc_auc_score(..., multi_class="ovr")` is an error there. torchmetrics' `MulticlassAUROC` has the mean over both
    classes where there are two, which is the same number but for rounding.

    It keeps the probabilities of the whole split: 4 bytes for each sample and class.

    Args:
        average: `"macro"`, the mean over classes, or `"weighted"`, by how often each is there.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, C, *)`, floating point, probabilities.
        - target: `(N, *)`, int64, classes in `[0, C)`, or `ignore_index`.

    Source:
        Hanley and McNeil, "The meaning and use of the area under a ROC curve", 1982 (as the statistic of Mann and
        Whitney).

    Example:
        >>> metric = AUROC()
        >>> metric.update(torch.tensor([[0.9, 0.1], [0.6, 0.4], [0.7, 0.3]]), torch.tensor([0, 1, 1]))
        >>> metric.compute()
        1.0
    """

    def __init__(self, average: Literal["macro", "weighted"] = "macro", ignore_index: int | None = None) -> None:
        self.average = average
        self.ignore_index = ignore_index
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self._held: list[tuple[Tensor, Tensor]] = []

    def update(self, input: Tensor, target: Tensor) -> None:  # noqa: A002  # torch's word
        """Keeps a batch."""
        self._held.append((input.movedim(1, -1).flatten(0, -2), target.flatten()))

    def compute(self) -> float:
        """The area; NaN where no class has both samples and others."""
        if not self._held:
            return math.nan
        scores, classes = (torch.cat(parts) for parts in zip(*self._held, strict=True))
        if self.ignore_index is not None:
            counted = classes != self.ignore_index
            scores, classes = scores[counted], classes[counted]
        if scores.isnan().any():
            return math.nan
        number = scores.shape[1]
        areas, weights = [], []
        for one in [1] if number == 2 else range(number):
            is_one = classes == one
            count = int(is_one.sum())
            if 0 < count < len(classes):
                areas.append(_area(scores[:, one], is_one, count))
                weights.append(count if self.average == "weighted" else 1)
        if not areas:
            return math.nan
        return math.fsum(area * weight for area, weight in zip(areas, weights, strict=True)) / sum(weights)


def _area(scores: Tensor, is_one: Tensor, count: int) -> float:
    """The share of pairs that are in the right order, from ranks, of which equal scores have the mean."""
    _, places, ties = torch.unique(scores, return_inverse=True, return_counts=True)
    last = ties.cumsum(0)
    doubled = (2 * last - ties + 1)[places]  # first and last rank of each together: whole numbers, which add up exactly
    pairs = int(doubled[is_one].sum()) - count * (count + 1)
    return pairs / (2 * count * (len(scores) - count))
