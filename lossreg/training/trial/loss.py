"""Trying a loss, which is compared with what it declares.

A single finite number, a gradient, inputs that stay as they are, a reduction that is obeyed, a mean where it says that
it averages.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor

from lossreg.component import Component
from lossreg.components import Loss
from lossreg.data import Task
from lossreg.errors import describe_error
from lossreg.registry.entry import RegistryEntry
from lossreg.training.loss.adapter import LossAdapter, adapt
from lossreg.training.trial.building import Batch, batch_of, build

_SIZES = ((32, 32), (16, 16, 16))  # of pictures and volumes
_FAILED = "it failed on"


def loss_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    """What is wrong with it; one line each."""
    component = entry.component
    assert isinstance(component, Loss)  # noqa: S101  # the kind says so
    if not component.is_fed:  # a trial has what a run has
        return
    numbers = component.target == "dense" and component.input == "any"
    task: Task = "regression" if numbers else "classification"
    loss = adapt(build(entry), component, task)
    batch = batch_of(task)
    problem = _value_problem(loss, batch)
    if problem is not None and component.target == "any":
        batch = batch_of("regression")
        problem = _value_problem(loss, batch)
    if problem is not None and problem.startswith(_FAILED):  # it may be for pictures or volumes alone
        further = (batch_of(task, size) for size in _SIZES)
        batch = next((one for one in further if _value_problem(loss, one) is None), batch)
        problem = _value_problem(loss, batch)
    if problem is not None:
        yield problem
        return
    yield from _use_problems(loss, batch)
    yield from _empty_class_problems(loss, batch)
    yield from _average_problems(loss, component, batch)
    yield from _reduction_problems(entry, component, task, batch)


@torch.no_grad()
def _value(loss: LossAdapter, output: Tensor, target: Tensor) -> Tensor:
    """The loss of copies, which it may change."""
    return loss(output.clone(), target.clone())


def _value_problem(loss: LossAdapter, batch: Batch) -> str | None:
    shapes = f"output {tuple(batch[0].shape)} and target {tuple(batch[1].shape)}, {batch[1].dtype}"
    try:
        value: Any = _value(loss, *batch)
    except Exception as error:
        return f"{_FAILED} {shapes}: {describe_error(error)}"
    if not isinstance(value, Tensor) or value.ndim != 0:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        return f"it gives {got} for {shapes}; a 0-d tensor is needed"
    if not value.isfinite():
        return f"it gives {value.item()} for {shapes}"
    return None


def _use_problems(loss: LossAdapter, batch: Batch) -> Iterator[str]:
    """What becomes of the inputs, and the gradient."""
    output, target = batch[0].clone(), batch[1].clone()
    with torch.no_grad():
        loss(output, target)
    if not torch.equal(output, batch[0]):
        yield "it changes the model's output in place"
    if not torch.equal(target, batch[1]):
        yield "it changes the targets in place"
    leaf = batch[0].clone().requires_grad_()
    try:
        (gradient,) = torch.autograd.grad(loss(leaf * 1, batch[1].clone()), leaf, allow_unused=True)
    except RuntimeError as error:
        yield f"its gradient cannot be computed: {describe_error(error)}"
        return
    if gradient is None:
        yield "its value does not depend on the model's output"
    elif not gradient.isfinite().all():
        yield "its gradient is not finite"


def _empty_class_problems(loss: LossAdapter, batch: Batch) -> Iterator[str]:
    """A class that no target has is common in small batches."""
    if batch[1].is_floating_point():
        return
    value = _value(loss, batch[0], torch.zeros_like(batch[1]))
    if not value.isfinite():
        yield f"it gives {value.item()} for a batch that lacks a class"


def _average_problems(loss: LossAdapter, component: Loss, batch: Batch) -> Iterator[str]:
    if component.averages is None or getattr(loss.criterion, "reduction", None) == "sum":
        return
    if getattr(loss.criterion, "weight", None) is not None:  # it divides by weights
        return
    first, second = (_value(loss, batch[0][part], batch[1][part]) for part in (slice(0, 4), slice(4, 8)))
    whole = _value(loss, *batch)
    if not torch.isclose((first + second) / 2, whole, rtol=1e-4):
        yield (
            f"averages={component.averages!r} is declared, but its values for the halves of a batch, "
            f"{first.item():.6g} and {second.item():.6g}, do not average to the one for the whole, {whole.item():.6g}"
        )


def _reduction_problems(entry: RegistryEntry[Component], component: Loss, task: Task, batch: Batch) -> Iterator[str]:
    """A reduction that is a parameter means what it means for torch's losses."""
    if "reduction" not in entry.signature.parameters:
        return
    values: dict[str, Any] = {}
    for reduction in ("mean", "sum", "none"):
        try:
            criterion = build(entry, reduction=reduction)
            with warnings.catch_warnings(action="ignore"):  # one may advise against a reduction, as KLDivLoss does
                values[reduction] = _value(adapt(criterion, component, task), *batch)
        except Exception:  # noqa: S112  # not every loss has all of them
            continue
    mean, total, each = (values.get(name) for name in ("mean", "sum", "none"))
    if isinstance(each, Tensor) and each.ndim == 0:
        yield "reduction='none' is accepted and ignored: it gives a single number"
    if isinstance(mean, Tensor) and isinstance(total, Tensor) and torch.equal(mean, total):
        yield "reduction='sum' is accepted and ignored: it gives the value of 'mean'"
    elif isinstance(each, Tensor) and isinstance(total, Tensor) and each.ndim and not torch.isclose(each.sum(), total):
        yield "reduction='sum' is not the sum of what reduction='none' gives"
