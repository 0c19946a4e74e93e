"""What components are tried with: what a run would supply, and eight samples of random numbers."""

from __future__ import annotations

import math
from typing import Any

import torch
from torch import Tensor

from lossreg.component import Component
from lossreg.data import Task
from lossreg.registry.entry import RegistryEntry

Batch = tuple[Tensor, Tensor]

CLASSES = 3
EPOCHS = 4

RUNTIME = {
    "num_classes": CLASSES, "out_features": CLASSES, "in_features": 4, "in_channels": 1, "in_shape": (4,),
    "epochs": EPOCHS, "steps_per_epoch": 2, "total_steps": 2 * EPOCHS, "interval": "epoch", "span": EPOCHS,
    "num_samples": 8, "ignore_index": None,
}  # fmt: skip


def can_be_built(entry: RegistryEntry[Component]) -> bool:
    """Whether it needs no parameter that only a user can give."""
    supplied = {name for name, runtime in entry.component.runtime_args.items() if runtime in RUNTIME}
    return entry.signature.required <= {*entry.component.defaults, *supplied}


def build(entry: RegistryEntry[Component], *positional: Any, **params: Any) -> Any:
    """The component with its defaults, but for these parameters."""
    return entry.construct(entry.arguments(entry.checked(params), RUNTIME), *positional)


def batch_of(task: Task, size: tuple[int, ...] = ()) -> Batch:
    """Eight samples of random numbers: logits and class indices, or numbers and numbers; for each pixel one of each."""
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(8, CLASSES, *size, generator=generator)
    if task == "regression":
        return output, torch.randn(8, CLASSES, *size, generator=generator)
    return output, torch.arange(8 * math.prod(size)).reshape(8, *size) % CLASSES
