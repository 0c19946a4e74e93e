"""One component by itself: built with its defaults and used once, outside of a run.

A loss is compared with what it declares: a single finite number, a gradient, inputs that stay as they are, a reduction
that is obeyed, a mean where it says that it averages. A metric has to have the same value however its samples are cut.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import torch
from torch import Tensor

from lossreg.component import Component
from lossreg.components import Loss, Metric
from lossreg.data import Task
from lossreg.errors import (
    BuildError,
    ConfigError,
    LossregError,
    MissingLibraryError,
    UnknownParameterError,
    describe_error,
)
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.build import ResolvedComponent, resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.training.loss.adapter import LossAdapter, adapt, one_hot_like
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.metrics.adapter import Batch as MetricBatch
from lossreg.training.metrics.adapter import adapt as adapt_metric
from lossreg.training.metrics.number import number_of
from lossreg.training.observing import check_observer
from lossreg.training.optim.modes import has_modes, set_training_mode
from lossreg.training.optim.needs import take_step
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.probe import find_needs, plan_alone
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg.training.selection import check_metric

Batch = tuple[Tensor, Tensor]

_CLASSES = 3
_SIZES = ((32, 32), (16, 16, 16))  # of pictures and volumes
_FAILED = "it failed on"
_EPOCHS = 4
_CUTS = ([8], [5, 1, 2], [8])  # of the samples on which a metric is tried
_RUNTIME = {
    "num_classes": _CLASSES, "out_features": _CLASSES, "in_features": 4, "in_channels": 1, "in_shape": (4,),
    "epochs": _EPOCHS, "steps_per_epoch": 2, "total_steps": 2 * _EPOCHS, "interval": "epoch", "span": _EPOCHS,
    "num_samples": 8, "ignore_index": None,
}  # fmt: skip


def try_component(entry: RegistryEntry[Component]) -> list[str]:
    """What is wrong with a component when it is built with its defaults and used once; one line each.

    Models and data sets are not built, which may take long, or download something; nor is what needs a parameter that
    only a user can give.
    """
    trial = _TRIALS.get(entry.component.kind)
    try:
        return list(trial(entry)) if trial is not None and _can_be_built(entry) else []
    except MissingLibraryError:  # a matter of this installation, which says so when it is used
        return []
    except LossregError as error:
        return [error.message]
    except BaseException as error:  # whatever a component does, the others are tried
        if is_from_outside(error):
            raise
        return [f"it failed when it was tried: {describe_error(error)}"]


def describe_needs(resolved: ResolvedComponent[Any]) -> str:
    """What an optimizer is found to need, or why that cannot be found, for a person."""
    plan, cpu = plan_alone(resolved, _RUNTIME), torch.device("cpu")
    try:
        try:
            needs = find_needs(plan, cpu).needs
        except BuildError:
            needs = find_needs(_of_sparse(plan), cpu).needs
    except UnknownParameterError as error:
        return f"not tried: {error.message.partition('. ')[0]}"
    except LossregError as error:
        return f"not found: {error.message}"
    unreadable = "" if needs.unreadable is None else f"; its state cannot be kept in a checkpoint: {needs.unreadable}"
    return f"{needs}{unreadable}"


def _can_be_built(entry: RegistryEntry[Component]) -> bool:
    supplied = {name for name, runtime in entry.component.runtime_args.items() if runtime in _RUNTIME}
    return entry.signature.required <= {*entry.component.defaults, *supplied}


def _build(entry: RegistryEntry[Component], *positional: Any, **params: Any) -> Any:
    return entry.construct(positional, entry.arguments(entry.checked(params), _RUNTIME))


def _optimizer_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    plan = plan_alone(resolve_params({}, entry, {}), _RUNTIME)
    try:
        problems = [*_step_problems(plan)]
    except Exception:
        taken = _takes_sparse(plan)
        if taken is None:
            raise
        problems = taken
    yield from problems


def _takes_sparse(plan: OptimizerPlan) -> list[str] | None:
    """What is wrong with an optimizer of sparse gradients (SparseAdam); None if it takes these no more than others."""
    try:
        return [*_step_problems(_of_sparse(plan))]
    except Exception:  # the error with dense ones is the one to tell
        return None


def _of_sparse(plan: OptimizerPlan) -> OptimizerPlan:
    """A plan of an optimizer alone whose weight has a sparse gradient."""
    return plan.with_sparse([SparseGradient("weight", 1)], {"weight": plan.parameters[0]})


def _step_problems(plan: OptimizerPlan) -> Iterator[str]:
    """What is wrong with what an optimizer needs, and with two steps."""
    try:
        plan = find_needs(plan, torch.device("cpu"))
    except ConfigError as error:
        yield f"{error.message[0].lower()}{error.message[1:]}"
        return
    stand_ins = stand_ins_of(plan, torch.device("cpu"))
    optimizer = plan.build(stand_ins)
    if plan.needs.modes and not has_modes(optimizer):
        yield "modes=True is declared, but it has no train() and eval()"
        return
    set_training_mode(optimizer)
    before = [weight.detach().clone() for weight in stand_ins.parameters]
    for _ in range(2):
        take_step(optimizer, plan.needs, stand_ins.backward)
    if not all(weight.isfinite().all() for weight in stand_ins.parameters):
        yield "two steps with its defaults lead to weights that are not finite"
    elif all(map(torch.equal, stand_ins.parameters, before)):
        yield "two steps with its defaults change no weight"
    if plan.needs.unreadable is not None:
        yield f"its state cannot be kept in a checkpoint: {plan.needs.unreadable}"


def _scheduler_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = _build(entry, optimizer)
    if not callable(getattr(scheduler, "step", None)):
        yield f"its factory returns a {type(scheduler).__name__}, which has no step()"
        return
    monitored = (1.0,) if getattr(entry.component, "monitor", None) else ()
    for epoch in range(_EPOCHS - 1):
        optimizer.step()
        scheduler.step(*monitored)
        rate = float(optimizer.param_groups[0]["lr"])
        if not 0 <= rate < float("inf"):
            yield f"it sets the rate {rate} after epoch {epoch}"
            return


def _loss_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    component = entry.component
    assert isinstance(component, Loss)  # noqa: S101  # the kind says so
    if not component.is_fed:  # a trial has what a run has
        return
    numbers = component.target == "dense" and component.input == "any"
    task: Task = "regression" if numbers else "classification"
    loss = adapt(_build(entry), component, task)
    batch = _batch(task)
    problem = _value_problem(loss, batch)
    if problem is not None and component.target == "any":
        batch = _batch("regression")
        problem = _value_problem(loss, batch)
    if problem is not None and problem.startswith(_FAILED):  # it may be for pictures or volumes alone
        further = (_batch(task, size) for size in _SIZES)
        batch = next((one for one in further if _value_problem(loss, one) is None), batch)
        problem = _value_problem(loss, batch)
    if problem is not None:
        yield problem
        return
    yield from _use_problems(loss, batch)
    yield from _empty_class_problems(loss, batch)
    yield from _average_problems(loss, component, batch)
    yield from _reduction_problems(entry, component, task, batch)


def _batch(task: Task, size: tuple[int, ...] = ()) -> Batch:
    """Eight samples of random numbers: logits and class indices, or numbers and numbers; for each pixel one of each."""
    generator = torch.Generator().manual_seed(0)
    output = torch.randn(8, _CLASSES, *size, generator=generator)
    if task == "regression":
        return output, torch.randn(8, _CLASSES, *size, generator=generator)
    return output, torch.arange(8 * math.prod(size)).reshape(8, *size) % _CLASSES


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
            criterion = _build(entry, reduction=reduction)
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


def _metric_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    component = entry.component
    assert isinstance(component, Metric)  # noqa: S101  # the kind says so
    metric = _build(entry)
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
    output, targets = _batch(task)
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


def _observer_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    check_observer(_build(entry), entry.id)
    yield from ()


_TRIALS: dict[str, Callable[[RegistryEntry[Component]], Iterator[str]]] = {
    "loss": _loss_problems,
    "optimizer": _optimizer_problems,
    "scheduler": _scheduler_problems,
    "metric": _metric_problems,
    "observer": _observer_problems,
}
