"""Trying a metric, which has to have the same value however its samples are cut."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import torch

from lossreg.component import Component
from lossreg.components import Metric
from lossreg.data import Task
from lossreg.errors import LossregError
from lossreg.registry.entry import RegistryEntry
from lossreg.training.loss.adapter import one_hot_like
from lossreg.training.metrics.adapter import Batch as MetricBatch
from lossreg.training.metrics.adapter import adapt as adapt_metric
from lossreg.training.metrics.number import number_of
from lossreg.training.selection import check_metric
from lossreg.training.trial.building import batch_of, build

_CUTS = ([8], [5, 1, 2], [8])  # of the samples on which a metric is tried


def metric_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    """What is wrong with it; one line each."""
    component = entry.component
    assert isinstance(component, Metric)  # noqa: S101  # the kind says so
    metric = build(entry)
    check_metric(metric, entry.id)
    numbers = component.target == "dense" and component.input in ("any", "labels")
    task: Task = "regression" if numbers else "multilabel" if component.target == "multilabel" else "classification"
    try:
        whole, parts, again = (_measured(metric, component, task, sizes) for sizes in _CUTS)
    except Exception as error:
        if component.target != "any" or isinstance(error, LossregError):
            raise
        whole, parts, again = (_measured(metric, component, "regression", sizes) for sizes in _CUTS)
    if math.isnan(whole):
        yield "its value is not a number for 8 samples of all classes"
        return
    if not math.isclose(whole, parts, rel_tol=1e-4, abs_tol=1e-6):
        yield f"its value for 8 samples is {whole:.6g}, and {parts:.6g} if they come in three batches"
    if not math.isclose(whole, again, rel_tol=1e-4, abs_tol=1e-6):
        yield f"its value for 8 samples is {whole:.6g}, and {again:.6g} after others and a reset()"
    least, greatest = component.bounds
    if (least is not None and whole < least) or (greatest is not None and whole > greatest):
        yield f"its value for 8 samples is {whole:.6g}, which is not within the bounds that it declares"


@torch.no_grad()
def _measured(metric: Any, component: Metric, task: Task, sizes: list[int]) -> float:
    """The value over batches of these sizes."""
    output, targets = batch_of(task)
    threshold = None
    if task == "multilabel":
        threshold, targets = 0.0, one_hot_like(targets, output)
    adapter = adapt_metric(component, task)
    metric.reset()
    for part, target in zip(output.split(sizes), targets.split(sizes), strict=True):
        metric.update(*adapter(MetricBatch(part, target, threshold)))
    value = number_of(metric.compute(), component.name)
    metric.update(*adapter(MetricBatch(output[:3], targets[:3], threshold)))  # for the next reset to forget
    return value
