"""Metrics of class labels, from how often each class is right, predicted and there."""

from __future__ import annotations

from typing import Any, Literal

import torch
from torch import Tensor

from lossreg_builtin.sums import SummedMetric

Average = Literal["macro", "micro", "weighted"]


class ClassCounts(SummedMetric):
    """Counts of each class, of which metrics are made.

    Args:
        num_classes: How many classes there are.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, *)`, int64, predicted classes in `[0, num_classes)`.
        - target: `(N, *)`, int64, classes in `[0, num_classes)`, or `ignore_index`.
    """

    def __init__(self, num_classes: int, ignore_index: int | None = None) -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes is at least 1, not {num_classes!r}")
        self.num_classes = num_classes
        self.ignore_index = ignore_index
        super().__init__()

    def zeros(self) -> dict[str, Tensor]:
        """How often each class is predicted rightly, predicted, and there; what is ignored has a place at the end."""
        return {
            name: torch.zeros(self.num_classes + 1, dtype=torch.int64, device=self.device)
            for name in ("right", "predicted", "there")
        }

    def update(self, input: Tensor, target: Tensor) -> None:  # noqa: A002  # torch's word
        """Counts a batch."""
        predicted, there = input.flatten(), target.flatten()
        nowhere = self.num_classes
        if self.ignore_index is not None:
            ignored = there == self.ignore_index
            predicted, there = predicted.masked_fill(ignored, nowhere), there.masked_fill(ignored, nowhere)
        right = torch.where(predicted == there, there, nowhere)
        for name, classes in (("right", right), ("predicted", predicted), ("there", there)):
            self.sums[name] += _counts(classes, self.num_classes + 1)

    def counts(self) -> tuple[Tensor, Tensor, Tensor]:
        """How often each class is predicted rightly, predicted, and there, as float64 on the CPU."""
        right, predicted, there = (
            self.sums[name][: self.num_classes].cpu().double() for name in ("right", "predicted", "there")
        )
        return right, predicted, there


def _counts(classes: Tensor, size: int) -> Tensor:
    if classes.device.type == "cpu":
        return torch.bincount(classes, minlength=size)
    # On other devices bincount waits for the greatest of them.
    return torch.zeros(size, dtype=torch.int64, device=classes.device).index_add_(0, classes, torch.ones_like(classes))


class Accuracy(ClassCounts):
    """The share of positions whose class is predicted.

    With `average="macro"` it is the mean over classes of the share of each that is predicted, known as balanced
    accuracy: a class without targets does not count (as in scikit-learn's `balanced_accuracy_score`; torchmetrics
    counts one that was predicted as 0).

    Args:
        average: `"micro"`, over positions, or `"macro"`, over classes.
        num_classes: How many classes there are.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, *)`, int64, predicted classes in `[0, num_classes)`.
        - target: `(N, *)`, int64, classes in `[0, num_classes)`, or `ignore_index`.

    Example:
        >>> metric = Accuracy(num_classes=2)
        >>> metric.update(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
        >>> round(metric.compute(), 4)
        0.6667
    """

    def __init__(
        self, num_classes: int, average: Literal["micro", "macro"] = "micro", ignore_index: int | None = None
    ) -> None:
        self.average = average
        super().__init__(num_classes, ignore_index)

    def compute(self) -> float:
        """The accuracy; NaN where there is no target."""
        right, _, there = self.counts()
        return _averaged(right, there, self.average)


class F1(ClassCounts):
    """F1 score: the harmonic mean of precision and recall, `2 TP / (2 TP + FP + FN)`.

    A class that is neither there nor predicted does not count, as in scikit-learn and torchmetrics.

    Args:
        average: `"macro"`, the mean over classes; `"weighted"`, the same weighted by how often each is there; or
            `"micro"`, of all positions together, which is the accuracy.
        num_classes: How many classes there are.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, *)`, int64, predicted classes in `[0, num_classes)`.
        - target: `(N, *)`, int64, classes in `[0, num_classes)`, or `ignore_index`.

    Source:
        van Rijsbergen, "Information retrieval", 1979, chapter 7 (1 - E for equal weights).

    Example:
        >>> metric = F1(num_classes=2)
        >>> metric.update(torch.tensor([0, 0, 1]), torch.tensor([0, 1, 1]))
        >>> round(metric.compute(), 4)  # 2/3 for both classes
        0.6667
    """

    def __init__(self, num_classes: int, average: Average = "macro", ignore_index: int | None = None) -> None:
        self.average = average
        super().__init__(num_classes, ignore_index)

    def compute(self) -> float:
        """The score; NaN where there is no target."""
        right, predicted, there = self.counts()
        return _averaged(2 * right, predicted + there, self.average, there)


class LabelF1(SummedMetric):
    """F1 score of samples that have any number of classes: `2 TP / (2 TP + FP + FN)` of each class by itself.

    A class that no sample has and that none is said to have does not count in the mean over classes, as in
    torchmetrics; scikit-learn counts it as `zero_division`.

    Args:
        average: `"macro"`, the mean over classes; `"weighted"`, the same weighted by how many samples have each; or
            `"micro"`, over all classes of all samples together.
        num_classes: How many classes there are.

    Shape:
        - input: `(N, num_classes)`, int64, 1 where a sample is said to have the class, else 0.
        - target: of the same shape, 1 where it has it, else 0.

    Example:
        >>> metric = LabelF1(num_classes=2)
        >>> metric.update(torch.tensor([[1, 0], [1, 1]]), torch.tensor([[1, 0], [0, 1]]))
        >>> round(metric.compute(), 4)  # 2/3 and 1
        0.8333
    """

    def __init__(self, num_classes: int, average: Average = "macro") -> None:
        if num_classes < 1:
            raise ValueError(f"num_classes is at least 1, not {num_classes!r}")
        self.num_classes = num_classes
        self.average = average
        super().__init__()

    def zeros(self) -> dict[str, Tensor]:
        """How often each class is told rightly, told, and there."""
        return {
            name: torch.zeros(self.num_classes, dtype=torch.int64, device=self.device)
            for name in ("right", "predicted", "there")
        }

    def update(self, input: Tensor, target: Tensor) -> None:  # noqa: A002  # torch's word
        """Counts a batch."""
        for name, counted in (("right", input * target), ("predicted", input), ("there", target)):
            self.sums[name] += counted.sum(dim=0)

    def compute(self) -> float:
        """The score; NaN where no sample has a class, or is said to have one."""
        right, predicted, there = (self.sums[name].cpu().double() for name in ("right", "predicted", "there"))
        return _averaged(2 * right, predicted + there, self.average, there)


class _Overlap(ClassCounts):
    """A mean over classes of how far what is predicted and what is there overlap.

    Args:
        background: Whether class 0 counts.
        num_classes: How many classes there are.
        ignore_index: Positions of this target do not count; None is no such target.
    """

    def __init__(self, num_classes: int, background: bool = True, ignore_index: int | None = None) -> None:
        if not background and num_classes < 2:
            raise ValueError("without the background there is no class left")
        self.first = 0 if background else 1
        super().__init__(num_classes, ignore_index)

    def overlaps(self) -> tuple[Tensor, Tensor, Tensor]:
        """The counts of the classes that count."""
        right, predicted, there = (one[self.first :] for one in self.counts())
        return right, predicted, there


class MeanDice(_Overlap):
    """Mean over classes of the Dice coefficient, `2 |A ∩ B| / (|A| + |B|)`, over all positions of the split.

    A class that is neither there nor predicted does not count. Sums are over the whole split: the mean over pictures of
    each one's Dice, as MONAI has it, is another number. Of labels, so it is not 1 minus the loss `dice`.

    Args:
        background: Whether class 0 counts.
        num_classes: How many classes there are.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, *)`, int64, predicted classes in `[0, num_classes)`.
        - target: `(N, *)`, int64, classes in `[0, num_classes)`, or `ignore_index`.

    Source:
        Dice, "Measures of the amount of ecologic association between species", 1945.
    """

    def compute(self) -> float:
        """The mean; NaN where there is no target."""
        right, predicted, there = self.overlaps()
        return _averaged(2 * right, predicted + there, "macro")


class MeanIoU(_Overlap):
    """Mean over classes of the intersection over union, `|A ∩ B| / |A ∪ B|`, over all positions of the split.

    A class that is neither there nor predicted does not count, as in torchmetrics' `MulticlassJaccardIndex`. Where
    `ignore_index` is one of the classes, torchmetrics leaves that class out of the mean; here it counts as one that is
    never there, as in F1 and scikit-learn.

    Args:
        background: Whether class 0 counts.
        num_classes: How many classes there are.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, *)`, int64, predicted classes in `[0, num_classes)`.
        - target: `(N, *)`, int64, classes in `[0, num_classes)`, or `ignore_index`.

    Source:
        Jaccard, "Étude comparative de la distribution florale", 1901.
    """

    def compute(self) -> float:
        """The mean; NaN where there is no target."""
        right, predicted, there = self.overlaps()
        return _averaged(right, predicted + there - right, "macro")


def _averaged(parts: Tensor, wholes: Tensor, average: str, weights: Tensor | Any = None) -> float:
    """Ratios of each class as one number; a class of which there is nothing does not count."""
    if average == "micro":
        return float(parts.sum() / wholes.sum())
    counts = wholes > 0
    ratios = parts[counts] / wholes[counts]
    if average == "macro":
        return float(ratios.mean())
    return float((ratios * weights[counts]).sum() / weights.sum())
