"""Top-k accuracy."""

from __future__ import annotations

import math

import torch
from torch import Tensor

from lossreg_builtin.sums import SummedMetric


class TopK(SummedMetric):
    """The share of positions whose class is among the k that are predicted to be the most likely.

    Of equal outputs that of the lower class goes first, so with `k=1` it is the accuracy.

    Args:
        k: How many classes may be named; fewer than there are.
        num_classes: How many classes there are; None is not known.
        ignore_index: Positions of this target do not count; None is no such target.

    Shape:
        - input: `(N, C, *)`, floating point: logits, or anything that grows with them.
        - target: `(N, *)`, int64, classes in `[0, C)`, or `ignore_index`.

    Example:
        >>> metric = TopK(k=2)
        >>> metric.update(torch.tensor([[0.1, 0.5, 0.4], [0.1, 0.5, 0.4]]), torch.tensor([2, 0]))
        >>> metric.compute()
        0.5
    """

    def __init__(self, k: int, num_classes: int | None = None, ignore_index: int | None = None) -> None:
        if k < 1:
            raise ValueError(f"k is at least 1, not {k!r}")
        if num_classes is not None and k >= num_classes:
            raise ValueError(f"k is {k}, but there are {num_classes} classes: k is less than that")
        self.k = k
        self.ignore_index = ignore_index
        super().__init__()

    def zeros(self) -> dict[str, Tensor]:
        """How many positions are right, and how many there are."""
        return {name: torch.zeros((), dtype=torch.int64, device=self.device) for name in ("right", "positions")}

    def update(self, input: Tensor, target: Tensor) -> None:  # noqa: A002  # torch's word
        """Counts a batch."""
        counted = None if self.ignore_index is None else target != self.ignore_index
        classes = (target if counted is None else target.masked_fill(~counted, 0)).unsqueeze(1)
        own = input.gather(1, classes)
        numbers = torch.arange(input.shape[1], device=input.device).view(1, -1, *[1] * (input.ndim - 2))
        before = (input > own) | ((input == own) & (numbers < classes))
        right = before.sum(dim=1) < self.k
        self.sums["right"] += (right if counted is None else right & counted).sum()
        self.sums["positions"] += target.numel() if counted is None else counted.sum()

    def compute(self) -> float:
        """The share; NaN where there is no target."""
        positions = int(self.sums["positions"])
        return int(self.sums["right"]) / positions if positions else math.nan
