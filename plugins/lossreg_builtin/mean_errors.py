"""Metrics of numbers: means of errors over all elements of a split."""

from __future__ import annotations

import abc
import math

import torch
from torch import Tensor

from lossreg_builtin.sums import SummedMetric


class MeanError(SummedMetric):
    """A mean over elements.

    Shape:
        - input: `(N, *)`, floating point.
        - target: of the same shape.
    """

    def zeros(self) -> dict[str, Tensor]:
        """The sum of the errors, and how many there are."""
        return {
            "errors": torch.zeros((), dtype=self.exact, device=self.device),
            "elements": torch.zeros((), dtype=torch.int64, device=self.device),
        }

    @abc.abstractmethod
    def of_elements(self, difference: Tensor) -> Tensor:
        """The error of each element, from what was predicted too much."""

    def update(self, input: Tensor, target: Tensor) -> None:  # noqa: A002  # torch's word
        """Adds a batch."""
        self.sums["errors"] += self.of_elements(input - target).sum()
        self.sums["elements"] += target.numel()

    def compute(self) -> float:
        """The mean; NaN where there is no element."""
        elements = int(self.sums["elements"])
        return float(self.sums["errors"]) / elements if elements else math.nan


class MeanAbsoluteError(MeanError):
    """Mean absolute difference, over all elements.

    Equals the loss `l1` over the whole split.

    Shape:
        - input: `(N, *)`, floating point.
        - target: of the same shape.

    Example:
        >>> metric = MeanAbsoluteError()
        >>> metric.update(torch.tensor([1.0, 4.0]), torch.tensor([2.0, 2.0]))
        >>> metric.compute()
        1.5
    """

    def of_elements(self, difference: Tensor) -> Tensor:
        """Its absolute value."""
        return difference.abs()


class MeanSquaredError(MeanError):
    """Mean squared difference, over all elements.

    Equals the loss `mse` over the whole split.

    Shape:
        - input: `(N, *)`, floating point.
        - target: of the same shape.
    """

    def of_elements(self, difference: Tensor) -> Tensor:
        """Its square."""
        return difference.square()


class RootMeanSquaredError(MeanSquaredError):
    """The square root of the mean squared difference, in the unit of the targets.

    Of several columns it is the root of the mean over all elements, as torchmetrics has it; scikit-learn's is the mean
    of the columns' roots.

    Shape:
        - input: `(N, *)`, floating point.
        - target: of the same shape.
    """

    def compute(self) -> float:
        """The root; NaN where there is no element."""
        return math.sqrt(super().compute())
