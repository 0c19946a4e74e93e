"""The mean loss of an epoch under way."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

if TYPE_CHECKING:
    from lossreg.training.parts import Parts


class RunningMean:
    """The mean loss of an epoch, summed on the device."""

    def __init__(self, device: torch.device) -> None:
        self._total = torch.zeros((), device=device)
        self._weight: int | Tensor = 0
        self._first: Tensor | None = None

    def add(self, loss: Tensor, weight: int | Tensor) -> None:
        """Adds a step: this process's share of its loss, and the weight of the whole step."""
        if isinstance(weight, int):
            self._total.add_(loss, alpha=weight)
        else:
            self._total.addcmul_(loss, weight)
        self._weight += weight
        if self._first is None:
            self._first = loss.clone()  # a compiled objective writes its next loss into the same memory

    def began_well(self) -> bool:
        """Whether the first loss was finite; it waits for the device."""
        return self._first is None or math.isfinite(self._first.item())

    def result(self, parts: Parts) -> float:
        """The mean over all processes; it waits for the device."""
        return (parts.processes.all_reduce(self._total.clone()) / self._weight).item()

    def state_dict(self) -> dict[str, Any]:
        """The sums so far, of this process."""
        return {"total": self._total.clone(), "weight": self._weight, "first": self._first}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Takes the sums of `state_dict`."""
        device = self._total.device
        self._total = state["total"].to(device, copy=True)
        self._weight, self._first = _on(state["weight"], device), _on(state["first"], device)


def _on(value: Any, device: torch.device) -> Any:
    return value.to(device, copy=True) if isinstance(value, Tensor) else value
