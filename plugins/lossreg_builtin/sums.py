"""What metrics have in common whose state adds up over batches and processes."""

from __future__ import annotations

import abc
from typing import Self

import torch
from torch import Tensor


class SummedMetric(abc.ABC):
    """A metric whose state is sums.

    Attributes:
        device: Where they are.
        sums: Name -> a sum over the batches since the last reset.
    """

    def __init__(self) -> None:
        self.device = torch.device("cpu")
        self.reset()

    @abc.abstractmethod
    def zeros(self) -> dict[str, Tensor]:
        """The sums before the first batch, on the device."""

    def reset(self) -> None:
        """Begins anew."""
        self.sums = self.zeros()

    def to(self, device: torch.device | str) -> Self:
        """Moves to a device, and begins anew there."""
        self.device = torch.device(device)
        self.reset()
        return self

    @property
    def exact(self) -> torch.dtype:
        """For sums of many numbers: float64 where there is one."""
        return torch.float32 if self.device.type == "mps" else torch.float64
