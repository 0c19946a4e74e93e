"""What a run is made of: each field's component by name, looked up and checked once, or a Python object."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.component import Component
from lossreg.components import Loss, Metric
from lossreg.data import Task
from lossreg.errors import ConfigError, LossregError, UnknownParameterError
from lossreg.groups import REST, SCHEDULER, ParamGroup
from lossreg.plugins.provenance import BUILTIN, LOCAL, Provenance
from lossreg.registry.annotations import takes_path
from lossreg.registry.build import ResolvedComponent, resolve, resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.levels import Routed, levels_of, routed
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, METRICS, OBSERVE, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.loss.fitting import check_fed
from lossreg.training.record.directory import absolute_path
from lossreg.values import shown
from lossreg.weights import WeightsChoice

DEFAULT_REST = "adamw"

#: What the parameters are called that an optimizer is for.
ROUTED: Mapping[str, str] = {
    "matrices": "matrices",
    "weights": "parameters of two dimensions or more",
    "hidden_matrices": "hidden matrices",
    "hidden_weights": "hidden parameters of two dimensions or more",
}

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
class Choice:
    """What fills one field of a run: a component by name, or a Python object.

    Attributes:
        label: How a person would write it.
        resolved: The component, ready to be built; None for an object that declares nothing.
        given: The object, or None.
        warning: A sentence to show before the run, or None.
        rest: Of an optimizer that is not for all parameters, the one that trains the rest; otherwise None.
        rest_is_named: Whether the spec names it.
        scheduler: Of an optimizer, the scheduler that moves its rates alone; None where it follows that of the run.
    """

    label: str
    resolved: ResolvedComponent[Any] | None = None
    given: Any = None
    warning: str | None = None
    rest: Choice | None = None
    rest_is_named: bool = False
    scheduler: Choice | None = None

    @property
    def component(self) -> Any:
        """What the component declares, or None for an object that declares nothing."""
        return None if self.resolved is None else self.resolved.entry.component

    @property
    def routed(self) -> Any:
        """What this optimizer declares, or one that it wraps, that is not for all parameters; None if all are."""
        levels = [] if self.resolved is None else levels_of(self.resolved)
        return next((one.entry.component for one in levels if one.entry.component.routes != "all"), None)

    @property
    def spec(self) -> ComponentSpec | None:
        """The component as it is written to disk; an object has no text."""
        if self.resolved is None or self.given is not None:
            return None
        read_here = {REST: self.rest, SCHEDULER: self.scheduler}
        return self.resolved.spec.with_params({key: one.spec for key, one in read_here.items() if one is not None})

    def build(self, *positional: Any, runtime: Mapping[str, Any]) -> Any:
        """Builds the component, or gives the object.

        Args:
            positional: What the kind's factory takes first.
            runtime: Runtime name -> value.

        Raises:
            LossregError: If it cannot be built.
        """
        return self.given if self.resolved is None else self.resolved.build(*positional, runtime=runtime)

    def facts(self, runtime: Mapping[str, Any]) -> dict[str, Any] | None:
        """For the run record: full id, all parameters and provenance; None for an object."""
        if self.resolved is None or self.given is not None:
            return None
        # What was set is recorded as it was written: it can be set again so.
        params = {**self.resolved.expanded(runtime), **dict(self.resolved.spec.params)}
        params = {key: _as_json(value) for key, value in params.items()}
        return {"id": self.resolved.entry.id, "params": params, **self.resolved.entry.provenance.to_json()}


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
            chosen[field] = _object(request.objects[field])
        elif spec is not None:
            named = _named_optimizer if field == "optimizer" else functools.partial(_named, field)
            chosen[field] = named(spec, request.registries)
    data: Choice = chosen["data"]
    chosen["data"] = data = _with_absolute_paths(data)
    if chosen["model"] is None and data.component is not None:
        chosen["model"] = _named("model", ComponentSpec(data.component.model), request.registries)
    loss: Choice | None = chosen["loss"]
    if loss is not None and loss.component is not None:
        check_fed(loss.component, loss.label)
    groups = {
        group.pattern: _of_group(group, request.registries) for group in request.spec.param_groups if group.optimizer
    }
    optimizers = [chosen["optimizer"], chosen["optimizer"].rest, *groups.values()]
    _check_closures(optimizers)
    _check_interval(request.spec, [chosen["scheduler"], *(one.scheduler for one in optimizers if one is not None)])
    return Selection(**chosen, group_optimizers=groups)


def select_field(field: str, request: Request) -> Choice | None:
    """What fills one field alone, for those who need no whole run; None where it names nothing.

    Raises:
        LossregError: If the name or a parameter is wrong.
    """
    if field in request.objects:
        return _object(request.objects[field])
    spec: ComponentSpec | None = getattr(request.spec, field)
    return None if spec is None else _named(field, spec, request.registries)


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
        chosen.append(_object(given))
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
        choice = _choice(field, LISTED_FIELDS[field], spec, request.registries)
        if any(choice.spec == other.spec for other in chosen):
            raise ConfigError(f"{field}: {choice.label} is given twice", setting=field)
        chosen.append(choice)
    return chosen


def select_loss(selection: Selection, task: Task, registries: Registries) -> Choice:
    """The loss, which is the task's own if none was named."""
    return selection.loss or _named("loss", ComponentSpec(TASK_LOSS[task]), registries)


def declaration_of(criterion: object, registries: Registries) -> Loss | None:
    """What a built-in loss declares whose class this object has, such as `torch.nn.CrossEntropyLoss()`; else None."""
    kind = type(criterion)
    for entry in registries.losses.declared:
        if entry.provenance.plugin != BUILTIN or not str(entry.component.factory).endswith(f":{kind.__name__}"):
            continue
        if entry.factory is kind:
            return entry.component
    return None


def _named(field: str, spec: ComponentSpec, registries: Registries) -> Choice:
    return _choice(field, COMPONENT_FIELDS[field], spec, registries)


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


def _choice(field: str, kind: str, spec: ComponentSpec, registries: Registries) -> Choice:
    registry = registries.of(kind)
    try:
        resolved = resolve(registry, spec)
    except LossregError as error:
        error.setting = field
        raise
    entry = resolved.entry
    rivals = registry.rivals(entry)
    warning = None
    if rivals and "." not in spec.name:
        others = " and ".join(f"{other.id} ({other.provenance})" for other in rivals)
        warning = f"{spec.name} is {entry.id}, not {others}; a full id says which"
    return Choice(resolved.spec.with_name(registry.short_name(entry)).text, resolved, warning=warning)


def _named_optimizer(spec: ComponentSpec, registries: Registries) -> Choice:
    """The optimizer of the run; one that is not for all parameters with the one that trains the rest."""
    try:
        found = routed(registries.optimizers, spec)
        if found.entry is None:
            return _scheduled_optimizer(spec, registries)
        rest = _rest(found)
    except LossregError as error:
        error.setting = error.setting or "optimizer"
        raise
    choice = _scheduled_optimizer(found.spec, registries)
    trains_rest = _scheduled_optimizer(rest or ComponentSpec(DEFAULT_REST), registries)
    return attrs.evolve(choice, rest=trains_rest, rest_is_named=rest is not None)


def _rest(found: Routed) -> ComponentSpec | None:
    """The optimizer that the spec names for the rest, or None."""
    name = "" if found.entry is None else found.entry.name
    if len(found.written) > 1:
        raise ConfigError(f"{found.spec.name}: rest is given twice, to it and to what it wraps; write it once")
    written = found.written[0] if found.written else None
    rest = ComponentSpec.parse(written) if isinstance(written, str) else written
    if rest is not None and not isinstance(rest, ComponentSpec):
        raise ConfigError(f"{name}: rest={shown(written)} is not an optimizer, such as {DEFAULT_REST}(lr=0.001)")
    return rest


def _scheduled_optimizer(spec: ComponentSpec, registries: Registries) -> Choice:
    """An optimizer, with a scheduler of its own if the spec names one."""
    params = dict(spec.params)
    entry = registries.optimizers.get(spec.name)
    if entry is None or SCHEDULER not in params or SCHEDULER in entry.signature.parameters:
        try:
            return _named("optimizer", spec, registries)
        except UnknownParameterError as error:
            if error.parameter == SCHEDULER:  # of one that is wrapped: an optimizer's own is taken out below
                error.message += f"; the rates are those of what wraps it: write {spec.name}(..., {SCHEDULER}=...)"
            raise
    written = params.pop(SCHEDULER)
    choice = _named("optimizer", ComponentSpec(spec.name, params, spec.nested), registries)
    try:
        scheduler = ComponentSpec.parse(written) if isinstance(written, str) else written
        if not isinstance(scheduler, ComponentSpec):
            raise ConfigError(
                f"{shown(written)} is not a scheduler, such as cosine(); constant(factor=1.0) keeps the rate"
            )
        return attrs.evolve(choice, scheduler=_named("scheduler", scheduler, registries))
    except LossregError as error:
        error.message = f"{SCHEDULER} of {entry.name}: {error.message}"
        error.setting = "optimizer"
        raise


def _of_group(group: ParamGroup, registries: Registries) -> Choice:
    """The optimizer that a group of parameters has of its own."""
    assert group.optimizer is not None  # noqa: S101  # the caller has looked
    try:
        return _scheduled_optimizer(group.optimizer, registries)
    except LossregError as error:
        if isinstance(error, UnknownParameterError) and error.parameter == REST:
            error.message += "; in a group an optimizer trains all that the pattern matches, and leaves no rest"
        hint = "" if group.optimizer.params else " (options are written KEY=VALUE, ...)"
        error.message = f"param_groups: {group.pattern!r}{hint}: {error.message}"
        error.setting = "param_groups"
        raise


def _check_closures(optimizers: Sequence[Choice | None]) -> None:
    """Checks that an optimizer that computes the loss again in its steps is the only one."""
    present = [choice for choice in optimizers if choice is not None]
    for choice in present:
        if len(present) > 1 and choice.component is not None and choice.component.closure:
            error = must_be_alone(choice)
            error.setting = "optimizer" if choice is present[0] else "param_groups"
            raise error


def must_be_alone(choice: Choice) -> ConfigError:
    """The error of one of several optimizers that computes the loss again in its steps."""
    instead = "use it alone"
    if choice.rest is not None:
        instead = (
            f"{choice.routed.name} trains {ROUTED[choice.routed.routes]} only, and {choice.rest.label} would train the "
            "rest; use an optimizer that is for all parameters, such as sgd, in its place"
        )
    return ConfigError(
        f"the optimizer {choice.label} computes the loss again in each of its steps (closure), so it cannot be one of "
        f"several; {instead}"
    )


def _check_interval(spec: RunSpec, schedulers: Sequence[Choice | None]) -> None:
    """Checks that something counts what the settings say."""
    if spec.scheduler_interval and not any(schedulers):
        raise ConfigError("scheduler_interval (--sched-interval) has no effect without a scheduler")


def _object(given: Any) -> Choice:
    if not isinstance(given, Loss | Metric):
        return Choice(class_name(given), given=given)
    entry: RegistryEntry[Component] = RegistryEntry(given, Provenance(LOCAL))
    return Choice(given.name, resolve_params({}, entry, {}), given=given)


def class_name(part: object) -> str:
    """The class of an object, or the function that it is, for a person."""
    if isinstance(part, Loss | Metric):
        return f"lossreg.{type(part).__name__}({part.name!r})"
    named = part if callable(part) and hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}.{named.__qualname__}"


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


def _as_json(value: Any) -> Any:
    """A parameter's value for JSON: itself where JSON has it, else its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, ComponentSpec):
        return value.text
    if type(value).__module__ == "torch" and callable(getattr(value, "tolist", None)):  # a tensor as a default
        return _as_json(value.tolist())
    return str(value)[:200]
