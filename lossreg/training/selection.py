"""What a run is made of: each field's component by name, looked up and checked once, or a Python object."""

from __future__ import annotations

import functools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.components import Loss, Metric
from lossreg.data import Task
from lossreg.errors import ConfigError
from lossreg.plugins.provenance import BUILTIN
from lossreg.registry.annotations import takes_path
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, METRICS, OBSERVE, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.choice import Choice, choose_named, choose_object, class_name, look_up
from lossreg.training.loss.fitting import check_fed
from lossreg.training.optimizer_choice import check_closures, choose_for_group, choose_optimizer
from lossreg.training.record.directory import absolute_path
from lossreg.weights import WeightsChoice

#: The loss of a task, unless one is named.
TASK_LOSS: Mapping[str, str] = {
    "classification": "cross_entropy", "segmentation": "cross_entropy", "regression": "mse",
    "multilabel": "bce_with_logits",
}  # fmt: skip


@attrs.frozen(eq=False)
class Request:
    """A run as it was asked for.

    Attributes:
        spec: What is named, and the settings of the loop.
        objects: Field -> a Python object to use instead of a name.
        registries: Where names are looked up.
        observers: Python objects that observe the run in addition to those that the spec names.
        metrics: Python objects that measure the model in addition to the metrics that the spec names.
        repeats: The run.json of the past run that is repeated, or None.
        command: The command line that asks, for the run record, or None.
    """

    spec: RunSpec
    objects: Mapping[str, Any]
    registries: Registries
    observers: tuple[object, ...] = ()
    metrics: tuple[object, ...] = ()
    repeats: Path | None = None
    command: str | None = None


@attrs.frozen(eq=False)
class Selection:
    """What fills the fields of a run.

    Attributes:
        data: The data set.
        optimizer: The optimizer.
        model: The model; None where a data set given as an object names none.
        loss: The loss; None is the task's own.
        scheduler: The scheduler, or None.
        group_optimizers: Pattern of a parameter group -> the optimizer that the group has of its own.
    """

    data: Choice
    optimizer: Choice
    model: Choice | None
    loss: Choice | None
    scheduler: Choice | None
    group_optimizers: Mapping[str, Choice]


def select(request: Request) -> Selection:
    """Looks every name and parameter up before anything is loaded: a typing error is found at second 0.

    Raises:
        LossregError: If a name or a parameter is wrong; its attribute `setting` says which field it is about.
    """
    chosen: dict[str, Any] = dict.fromkeys(COMPONENT_FIELDS)
    for field in COMPONENT_FIELDS:
        spec: ComponentSpec | None = getattr(request.spec, field)
        if field in request.objects:
            chosen[field] = choose_object(request.objects[field])
        elif spec is not None:
            named = choose_optimizer if field == "optimizer" else functools.partial(choose_named, field)
            chosen[field] = named(spec, request.registries)
    data: Choice = chosen["data"]
    chosen["data"] = data = _with_absolute_paths(data)
    if chosen["model"] is None and data.component is not None:
        chosen["model"] = choose_named("model", ComponentSpec(data.component.model), request.registries)
    loss: Choice | None = chosen["loss"]
    if loss is not None and loss.component is not None:
        check_fed(loss.component, loss.label)
    groups = {
        group.pattern: choose_for_group(group, request.registries)
        for group in request.spec.param_groups
        if group.optimizer and not (group.goes_to_rest and chosen["optimizer"].rest is not None)
    }
    optimizers = [chosen["optimizer"], chosen["optimizer"].rest, *groups.values()]
    check_closures(optimizers)
    _check_interval(request.spec, [chosen["scheduler"], *(one.scheduler for one in optimizers if one is not None)])
    return Selection(**chosen, group_optimizers=groups)


def select_field(field: str, request: Request) -> Choice | None:
    """What fills one field alone, for those who need no whole run; None where it names nothing.

    Raises:
        LossregError: If the name or a parameter is wrong.
    """
    if field in request.objects:
        return choose_object(request.objects[field])
    spec: ComponentSpec | None = getattr(request.spec, field)
    return None if spec is None else choose_named(field, spec, request.registries)


def select_observers(request: Request) -> list[Choice]:
    """Looks the observers up that are named.

    Raises:
        LossregError: If a name or a parameter is wrong, or two of them are the same; its attribute `setting` says which
            field it is about.
    """
    return _listed(OBSERVE, request)


def select_metrics(request: Request) -> list[Choice]:
    """Looks the metrics up that are named, and takes those that are given.

    Raises:
        LossregError: If a name or a parameter is wrong, two of them are the same, or an object is not a metric; its
            attribute `setting` says which field it is about.
    """
    chosen = _listed(METRICS, request)
    for given in request.metrics:
        if not isinstance(given, Metric):
            check_metric(given, class_name(given))
        chosen.append(choose_object(given))
    return chosen


def check_metric(metric: object, label: str) -> None:
    """Checks that an object can be a metric.

    Raises:
        ConfigError: If it is a class, or lacks a method.
    """
    if isinstance(metric, type):
        raise ConfigError(f"the metric {label} is a class; give an instance of it", setting=METRICS)
    missing = [name for name in ("update", "compute", "reset") if not callable(getattr(metric, name, None))]
    if missing:
        raise ConfigError(
            f"the metric {label} has no {missing[0]}(); a metric has update(input, target), compute() and reset()",
            setting=METRICS,
        )


def _listed(field: str, request: Request) -> list[Choice]:
    """What a field names several of."""
    chosen: list[Choice] = []
    for spec in getattr(request.spec, field):
        choice = look_up(field, LISTED_FIELDS[field], spec, request.registries)
        if any(choice.spec == other.spec for other in chosen):
            raise ConfigError(f"{field}: {choice.label} is given twice", setting=field)
        chosen.append(choice)
    return chosen


def select_loss(selection: Selection, task: Task, registries: Registries) -> Choice:
    """The loss, which is the task's own if none was named."""
    return selection.loss or choose_named("loss", ComponentSpec(TASK_LOSS[task]), registries)


def declaration_of(criterion: object, registries: Registries) -> Loss | None:
    """What a built-in loss declares whose class this object has, such as `torch.nn.CrossEntropyLoss()`; else None."""
    kind = type(criterion)
    for entry in registries.losses.declared:
        if entry.provenance.plugin != BUILTIN or not str(entry.component.factory).endswith(f":{kind.__name__}"):
            continue
        if entry.factory is kind:
            return entry.component
    return None


def _with_absolute_paths(choice: Choice) -> Choice:
    """The data set with absolute paths to its files, so that a repeat of the run finds them from any folder."""
    resolved = choice.resolved
    if resolved is None:
        return choice
    parameters = resolved.entry.signature.parameters
    paths = {
        key: str(absolute_path(value))
        for key, value in resolved.written.items()
        if key in parameters and takes_path(parameters[key].accepted) and isinstance(value, str | Path)
    }
    if not paths:
        return choice
    changed = attrs.evolve(resolved, written={**resolved.written, **paths}, params={**resolved.params, **paths})
    return attrs.evolve(choice, resolved=changed)


def _check_interval(spec: RunSpec, schedulers: Sequence[Choice | None]) -> None:
    """Checks that something counts what the settings say."""
    if spec.scheduler_interval and not any(schedulers):
        raise ConfigError("scheduler_interval (--sched-interval) has no effect without a scheduler")


def check_effects(request: Request) -> None:
    """Checks that no setting is without effect for want of a part.

    Raises:
        ConfigError: If one is.
    """
    spec, objects = request.spec, request.objects
    WeightsChoice.parse(spec.weights).first_epoch(spec.epochs)
    if spec.monitor is not None and spec.patience is None:
        raise ConfigError(
            "monitor (--monitor) has no effect without patience (--patience N, the epochs to wait for a better one)",
            setting="monitor",
        )
    if spec.init_partial and spec.init_from is None:
        raise ConfigError(
            "init_partial (--init-partial) has no effect without init_from (--init-from DIR)", setting="init_partial"
        )
    if "data" in objects and spec.model is None and "model" not in objects:
        raise ConfigError("data is an object, which names no model of its own; give model=")
