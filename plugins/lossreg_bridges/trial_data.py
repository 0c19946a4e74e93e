"""What components of bridges are tried with: what a run supplies, and data made from a contract."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lossreg.data import Task
from lossreg.errors import LossregError
from lossreg.registry.entry import RegistryEntry

Found = dict[str, Any]

CLASSES = 3
STEPS = 4
OPTIMIZER_STEPS = 12  # some wait for the variance of their gradients to settle
CPU = torch.device("cpu")
RUNTIME: Mapping[str, Any] = {
    "num_classes": CLASSES, "out_features": CLASSES, "in_features": 4, "in_channels": 3,
    "epochs": STEPS, "steps_per_epoch": 2, "total_steps": 2 * STEPS, "interval": "step", "span": 2 * STEPS,
    "num_samples": 8, "ignore_index": None,
}  # fmt: skip

#: The shapes of outputs on which a loss is tried: of a classifier, and of segmentations of pictures and of volumes.
SHAPES = ((8, CLASSES), (8, CLASSES, 32, 32), (8, CLASSES, 16, 16, 16))


class TrialError(LossregError, ValueError):
    """What is wrong with a component that was tried."""


def build(entry: RegistryEntry[Any], example: Mapping[str, Any], *positional: Any) -> Any:
    """Builds a component with what a run supplies, and the values that a user must give."""
    return entry.construct(entry.arguments(entry.checked(example), RUNTIME), *positional)


def task_of(component: Any) -> Task:
    """The task whose data a loss or a metric is tried with, from its contract alone."""
    if component.target in ("multilabel", "signs", "label_lists"):
        return "multilabel"
    return "regression" if component.target == "dense" and component.input == "any" else "classification"


def batch_of(task: Task, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Random outputs and targets of a task; those of a regression are between 0 and 1."""
    generator = torch.Generator().manual_seed(0)
    if task == "regression":  # losses of pictures take no others
        return torch.rand(tuple(shape), generator=generator), torch.rand(tuple(shape), generator=generator)
    output = torch.randn(tuple(shape), generator=generator)
    if task == "multilabel":
        return output, (torch.rand(tuple(shape), generator=generator) < 0.5).float()
    size = (shape[0], *shape[2:])
    return output, torch.arange(torch.Size(size).numel()).reshape(size) % shape[1]


def numbers(*shape: int) -> Tensor:
    """Random numbers between 0 and 1."""
    return torch.rand(shape, generator=torch.Generator().manual_seed(0))


def mask(*shape: int) -> Tensor:
    """A mask of one class: 0 and 1 in turn, as floating-point numbers."""
    return torch.arange(torch.Size(shape).numel()).reshape(shape).remainder(2).float()
