"""Trying a component of a bridge: it does what its record says, and what the record may leave unsaid is found."""

from __future__ import annotations

import contextlib
import functools
import io
import warnings
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import attrs
import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.components import Component, Loss
from lossreg.data import Task
from lossreg.errors import LossregError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.plugins.provenance import Provenance
from lossreg.registry.build import resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import Registries, load_registries
from lossreg.training.loss.adapter import LossAdapter, adapt
from lossreg.training.optim.layout import layout_failure
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.needs import PROBED, declared_needs, take_step
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.param_groups import OptimizerGroup
from lossreg.training.optim.probe import find_needs
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg.training.selection import Choice
from lossreg_bridges.candidates import GROUPS, SIZE

Found = dict[str, Any]

CLASSES = 3
STEPS = 4
CPU = torch.device("cpu")
RUNTIME: Mapping[str, Any] = {
    "num_classes": CLASSES, "out_features": CLASSES, "in_features": 4, "in_channels": 3,
    "epochs": STEPS, "steps_per_epoch": 2, "total_steps": 2 * STEPS, "interval": "step", "span": 2 * STEPS,
    "num_samples": 8,
}  # fmt: skip

#: The shapes of outputs on which a loss is tried: of a classifier, and of segmentations of pictures and of volumes.
SHAPES = ((8, CLASSES), (8, CLASSES, 32, 32), (8, CLASSES, 16, 16, 16))


class TrialError(LossregError, ValueError):
    """What is wrong with a component that was tried."""


def try_record(record: Component, example: Mapping[str, Any] | None = None) -> Found:
    """Builds a component and uses it once, with random numbers.

    Args:
        record: The component.
        example: Values for the parameters that a user must give.

    Returns:
        Fields of the record that were found.

    Raises:
        LossregError: If it cannot be built, or does not do what its record says.
    """
    entry: RegistryEntry[Any] = RegistryEntry(record, Provenance("bridge"))
    trial = _TRIALS[record.kind]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # the run that uses it gives them
        torch.manual_seed(0)
        try:
            return trial(entry, dict(example or {}))
        except LossregError:
            raise
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise TrialError(f"it failed when it was tried: {describe_error(error)}") from error


def _model() -> torch.nn.Module:
    """Weights of four dimensions, two and one, as most models have them."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))


#: For which parameters an optimizer may be, the widest first, and which these are.
_ROUTES: tuple[tuple[str, Callable[[Parameter], bool]], ...] = (
    ("all", lambda _: True),
    ("weights", lambda one: one.ndim >= 2),
    ("matrices", lambda one: one.ndim == 2),
)


def _try_optimizer(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """Some steps of small weights; which weights those can be, and what the loop must give."""
    example = {**({"lr": 0.01} if "lr" in entry.component.required else {}), **example}
    declared = entry.component.routes
    failure: LossregError | None = None
    for routes, fits in _ROUTES:
        if declared != "all" and routes != declared.removeprefix("hidden_"):
            continue
        try:
            found = _steps(entry, example, fits)
        except LossregError as error:
            failure = failure or error
            continue
        return {**found, "routes": declared if declared != "all" else routes}
    assert failure is not None  # noqa: S101  # one of the ways was tried
    raise failure


def _steps(entry: RegistryEntry[Any], example: Mapping[str, Any], fits: Callable[[Parameter], bool]) -> Found:
    model = _model()
    own = {key: value for key, value in example.items() if key != GROUPS}
    plan = OptimizerPlan(
        Choice(entry.name, resolve_params(_registries().optimizers, entry, own)),
        _groups(model, fits, in_groups=GROUPS in example),
        GROUPS in example,
        {**RUNTIME, "model": model},
        needs=declared_needs(entry.component),
    )
    plan = find_needs(plan, CPU)
    _check_steps(plan)
    if plan.needs.unreadable is not None:
        raise TrialError(f"its state cannot be kept in a checkpoint: {plan.needs.unreadable}")
    model.to(memory_format=torch.channels_last)  # type: ignore[call-overload]  # torch declares less than it takes
    plan = attrs.evolve(plan, groups=_groups(model, fits, in_groups=GROUPS in example))
    found = {field: getattr(plan.needs, field) for field in PROBED}
    return {**found, "layout": "any" if layout_failure(plan) is None else "contiguous"}


@functools.cache
def _registries() -> Registries:
    """The built-in components, for an optimizer that wraps another one."""
    return load_registries(allow=[])


def _groups(model: torch.nn.Module, fits: Callable[[Parameter], bool], *, in_groups: bool) -> list[OptimizerGroup]:
    """The weights that fit: as one group, or as those that say `use_muon` and those that do not."""
    chosen = [(name, one) for name, one in model.named_parameters() if fits(one)]
    if not in_groups:
        return [OptimizerGroup({}, [one for _, one in chosen], tuple(name for name, _ in chosen))]
    found = []
    for is_for_muon in (True, False):
        some = [(name, one) for name, one in chosen if (one.ndim >= 2) == is_for_muon]
        options = {"use_muon": is_for_muon}
        names = tuple(name for name, _ in some)
        found.append(OptimizerGroup(options, [one for _, one in some], names, "ndim", (options,)))
    return found


def _check_steps(plan: OptimizerPlan) -> None:
    stand_ins = stand_ins_of(plan, CPU)
    optimizer = plan.build(stand_ins)
    set_training_mode(optimizer)
    before = [weight.detach().clone() for weight in stand_ins.parameters]
    for _ in range(STEPS):
        take_step(optimizer, plan.needs, stand_ins.backward)
    if not all(weight.isfinite().all() for weight in stand_ins.parameters):
        raise TrialError(f"{STEPS} steps lead to weights that are not finite")
    if all(map(torch.equal, stand_ins.parameters, before)):
        raise TrialError(f"{STEPS} steps change no weight")


def _build(entry: RegistryEntry[Any], example: Mapping[str, Any], *positional: Any) -> Any:
    return entry.construct(positional, entry.arguments(entry.checked(example), RUNTIME))


def _try_scheduler(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """Steps as many times as a run of that many epochs or steps has it step."""
    optimizer = torch.optim.SGD([Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = _build(entry, example, optimizer)
    if not callable(getattr(scheduler, "step", None)):
        raise TrialError(f"its factory returns a {type(scheduler).__name__}, which has no step()")
    monitored = (1.0,) if entry.component.monitor else ()
    rates = [_rate(optimizer)]
    for _ in range(2 * STEPS):
        optimizer.step()
        scheduler.step(*monitored)
        rates.append(_rate(optimizer))
    if not all(0 <= rate < float("inf") for rate in rates):
        raise TrialError(f"it sets the rates {', '.join(f'{rate:g}' for rate in rates)}")
    state = scheduler.state_dict()
    if not isinstance(state, dict):
        raise TrialError("its state_dict() is not a dictionary, so no run goes on from it")
    return {}


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _try_loss(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """A value and a gradient on data made from the contract, of the first shape that it takes."""
    failure: TrialError | None = None
    for shape in SHAPES:
        try:
            return _on_shape(entry, example, shape)
        except TrialError as error:
            failure = failure or error
    assert failure is not None  # noqa: S101  # a shape was tried
    raise failure


def _on_shape(entry: RegistryEntry[Any], example: Mapping[str, Any], shape: Sequence[int]) -> Found:
    component: Loss = entry.component
    task = task_of(component)
    loss = adapt(_build(entry, example), component, task)
    output, target = batch_of(task, shape)
    try:
        value = _value(loss, output, target)
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


def task_of(component: Loss) -> Task:
    """The task whose data a loss is tried with, from its contract alone."""
    return "regression" if component.target == "dense" and component.input == "any" else "classification"


def batch_of(task: Task, shape: Sequence[int]) -> tuple[Tensor, Tensor]:
    """Random outputs and targets: logits and class indices, or numbers between 0 and 1 and numbers of that kind."""
    generator = torch.Generator().manual_seed(0)
    if task == "regression":  # losses of pictures take no others
        return torch.rand(tuple(shape), generator=generator), torch.rand(tuple(shape), generator=generator)
    output = torch.randn(tuple(shape), generator=generator)
    size = (shape[0], *shape[2:])
    return output, torch.arange(torch.Size(size).numel()).reshape(size) % shape[1]


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


def _try_model(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """A batch of pictures gives a tensor of one number for each class; without memory for weights where that works.

    1,000 models would take hours with it.
    """
    size = example.pop(SIZE, (3, 64, 64))
    try:
        device = torch.device("meta")
        model = _on(device, entry, example)
        output = model(torch.zeros(2, *size, device=device))
    except Exception:  # what it computes of the values of its inputs needs values
        model = _on(CPU, entry, example)
        output = model(torch.zeros(2, *size))
    if not isinstance(output, Tensor):
        raise TrialError(f"it returns a {type(output).__name__}; a tensor is needed")
    if tuple(output.shape[:2]) != (2, CLASSES):
        raise TrialError(f"it gives {tuple(output.shape)} for 2 pictures of {CLASSES} classes")
    return {}


def _on(device: torch.device, entry: RegistryEntry[Any], example: Mapping[str, Any]) -> torch.nn.Module:
    with device:
        model = _build(entry, example)
    if not isinstance(model, torch.nn.Module):
        raise TrialError(f"its factory returns a {type(model).__name__}, which is not a torch.nn.Module")
    return model.eval()


_TRIALS: dict[str, Callable[[RegistryEntry[Any], dict[str, Any]], Found]] = {
    "loss": _try_loss,
    "optimizer": _try_optimizer,
    "scheduler": _try_scheduler,
    "model": _try_model,
}
