"""Trying a loss or a metric of a bridge, on data made from its contract."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import Tensor

from lossreg.components import Loss
from lossreg.errors import describe_error
from lossreg.registry.entry import RegistryEntry
from lossreg.training.loss.adapter import LossAdapter, adapt
from lossreg.training.metrics.adapter import Batch, MetricAdapter
from lossreg.training.metrics.adapter import adapt as adapt_metric
from lossreg.training.metrics.number import number_of
from lossreg.training.selection import check_metric
from lossreg_bridges.candidates import GIVEN
from lossreg_bridges.trial_data import CLASSES, SHAPES, Found, TrialError, batch_of, build, task_of


def try_loss(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """A value and a gradient on data made from the contract, of the first shape that it takes."""
    if not entry.component.is_fed:
        return _with_what_it_takes(entry, example)
    failure: TrialError | None = None
    for shape in SHAPES:
        try:
            return _on_shape(entry, example, shape)
        except TrialError as error:
            failure = failure or error
    assert failure is not None  # noqa: S101  # a shape was tried
    raise failure


def _with_what_it_takes(entry: RegistryEntry[Any], example: Mapping[str, Any]) -> Found:
    """A value and a gradient with what stands in the example, of a loss that is not called with output and target."""
    given = example[GIVEN]
    loss = build(entry, {key: value for key, value in example.items() if key != GIVEN})
    leaf = given[0].clone().requires_grad_()
    value: Any = loss(leaf * 1, *given[1:])
    if not isinstance(value, Tensor) or value.ndim != 0 or not value.isfinite():
        raise TrialError(f"it gives {value} for {', '.join(entry.component.takes)}; a finite 0-d tensor is needed")
    (gradient,) = torch.autograd.grad(value, leaf)
    if not gradient.isfinite().all() or not gradient.any():
        raise TrialError(f"its gradient is 0, or not finite, in {entry.component.takes[0]}")
    return {"averages": None}


def _on_shape(entry: RegistryEntry[Any], example: Mapping[str, Any], shape: Sequence[int]) -> Found:
    component: Loss = entry.component
    task = task_of(component)
    loss = adapt(build(entry, example), component, task)
    output, target = batch_of(task, shape)
    try:
        _value(loss, output, target)
        leaf = output.clone().requires_grad_()
        (gradient,) = torch.autograd.grad(loss(leaf * 1, target.clone()), leaf)
    except TrialError:
        raise
    except Exception as error:
        shapes = f"output {tuple(output.shape)} and target {tuple(target.shape)}, {target.dtype}"
        raise TrialError(f"it failed on {shapes}: {describe_error(error)}") from error
    if not gradient.isfinite().all():
        raise TrialError(f"its gradient is not finite on an output of shape {tuple(shape)}")
    if not gradient.any():
        raise TrialError("its value does not depend on the model's output")
    return {"averages": "sample" if _averages(loss, output, target) else None}


@torch.no_grad()
def _value(loss: LossAdapter, output: Tensor, target: Tensor) -> Tensor:
    """The loss of copies, which must stay as they are."""
    copies = output.clone(), target.clone()
    value: Any = loss(*copies)
    if not isinstance(value, Tensor) or value.ndim != 0:
        got = f"shape {tuple(value.shape)}" if isinstance(value, Tensor) else type(value).__name__
        raise TrialError(f"it gives {got} for an output of shape {tuple(output.shape)}; a 0-d tensor is needed")
    if not value.isfinite():
        raise TrialError(f"it gives {value.item()} for an output of shape {tuple(output.shape)}")
    if not (torch.equal(copies[0], output) and torch.equal(copies[1], target)):
        raise TrialError("it changes its input in place")
    return value


def _averages(loss: LossAdapter, output: Tensor, target: Tensor) -> bool:
    """Whether the value of a batch is the mean over its samples, in parts of one size and of two."""
    whole = _value(loss, output, target)
    count = len(output)
    for first in (count // 2, count // 4):
        try:
            parts = [_value(loss, output[part], target[part]) for part in (slice(0, first), slice(first, count))]
        except Exception:  # it takes no batch of this size
            return False
        mean = (parts[0] * first + parts[1] * (count - first)) / count
        if not torch.isclose(mean, whole, rtol=1e-4, atol=1e-6):
            return False
    return True


#: The sizes of the batches that a metric is given 8 samples in, the first of which it is compared with.
CUTS = ((8,), (5, 3), (1, 2, 4, 1))


def try_metric(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """The same finite number however a split is cut into batches, on data of the first shape that it takes."""
    task = task_of(entry.component)
    shapes = ((8, 1), (8, CLASSES, 32, 32)) if task == "regression" else SHAPES[:2]
    failure: TrialError | None = None
    for shape in shapes:
        metric = build(entry, example)
        check_metric(metric, entry.name)
        output, target = batch_of(task, shape)
        given = adapt_metric(entry.component, task)
        threshold = 0.0 if task == "multilabel" else None
        try:
            values = [_measured(metric, given, Batch(output, target, threshold), cut) for cut in CUTS]
        except Exception as error:
            failure = failure or TrialError(f"it failed on an output of shape {tuple(shape)}: {describe_error(error)}")
            continue
        if not all(math.isfinite(value) for value in values):
            raise TrialError(f"it gives {values[0]} for an output of shape {tuple(shape)}")
        if not all(math.isclose(value, values[0], rel_tol=1e-4, abs_tol=1e-5) for value in values):
            told = " and ".join(f"{value:.6g}" for value in values)
            raise TrialError(f"it gives {told} for the same 8 samples in batches of different sizes")
        return {}
    assert failure is not None  # noqa: S101  # a shape was tried
    raise failure


@torch.inference_mode()
def _measured(metric: Any, given: MetricAdapter, whole: Batch, cut: Sequence[int]) -> float:
    metric.reset()
    for part, compared in zip(*(each.split(list(cut)) for each in given(whole)), strict=True):
        metric.update(part, compared)
    return number_of(metric.compute(), "value")
