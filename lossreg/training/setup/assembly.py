"""From a request to the parts of a run: functions that take what they need and return what they made, in turn."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch

from lossreg.data import Data
from lossreg.registry.registries import Registries
from lossreg.run_spec import METRICS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.choice import Choice, class_name
from lossreg.training.choosing import choose
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.hardware.compile import check_compiler
from lossreg.training.hardware.deterministic import check_workspace
from lossreg.training.hardware.device import check_not_shared, hardware_id, resolve_device
from lossreg.training.hardware.distributed import Processes, set_current_device
from lossreg.training.initial_weights import start_from
from lossreg.training.loss.objective import Objective
from lossreg.training.metrics.named import describe_measures, metric_facts
from lossreg.training.observing import observer_facts
from lossreg.training.optim.freezing import plan_freezing
from lossreg.training.optim.needs import declared_needs
from lossreg.training.optim.schedules import followed_metrics
from lossreg.training.parts import Fit, Optimization, Parts
from lossreg.training.selection import (
    Request,
    Selection,
    check_effects,
    select,
    select_loss,
    select_metrics,
    select_observers,
)
from lossreg.training.setup.fit import fitted
from lossreg.training.setup.metrics import named_metrics, row_metrics, supplied_to_metrics
from lossreg.training.setup.objective import build_objective, with_numbers
from lossreg.training.setup.optimization import build_optimization, chosen_weights, plan_optimization
from lossreg.training.setup.samples import load_samples, runtime_facts
from lossreg.training.state_dicts import check_kept

_BATCH_NORM = (torch.nn.BatchNorm1d, torch.nn.BatchNorm2d, torch.nn.BatchNorm3d)


def set_up(request: Request, processes: Processes, *, quiet: bool) -> Parts:
    """Builds everything and checks that it fits.

    Args:
        request: What to build.
        processes: Those that train together.
        quiet: Whether nothing is shown while a data set is read.

    Raises:
        LossregError: If a part cannot be built, or the parts do not fit.
    """
    spec = request.spec
    device = _device(spec, processes)
    check_effects(request)
    selection = select(request)
    measuring, observers = select_metrics(request), select_observers(request)
    samples = load_samples(selection.data, spec, device, processes, quiet=quiet or not processes.is_main)
    chosen = _all_chosen(selection, samples.data, request.registries)
    chosen["loss"], from_data = with_numbers(chosen["loss"], samples, processes, request.registries, quiet=quiet)
    declared = declared_needs(selection.optimizer.component)
    runtime = runtime_facts(spec, samples)
    objective = build_objective(chosen, spec, device, samples, runtime, request.registries, closure=declared.closure)
    _check_kept(objective, chosen)
    initial = start_from(objective.model, spec, chosen["model"].label)
    freezing = plan_freezing(spec, objective, chosen["model"].label)
    metrics = named_metrics(measuring, chosen, samples.data, request.registries)
    measures = {one.name: one.measure for one in metrics}
    plan, schedules = plan_optimization(selection, chosen, spec, samples, objective, runtime, measures)
    choices = choose(spec, row_metrics(spec, samples, measures), followed_metrics(plan, schedules), measures)
    plan, fit = fitted(request, chosen, device, processes, samples, objective, plan, runtime, metrics)
    optimization = build_optimization(chosen, device, fit.objective, plan, schedules, unfreezes=bool(freezing.epochs))
    weights = chosen_weights(chosen, spec, device, processes, samples, fit, optimization)
    if spec.compile:
        check_compiler(device)
    return Parts(
        spec=attrs.evolve(_full_spec(spec, selection, chosen), metrics=_specs(measuring), observe=_specs(observers)),
        labels={field: choice.label for field, choice in chosen.items()},
        objects=_classes(request),
        device=device,
        processes=processes,
        samples=samples,
        fit=fit,
        optimization=optimization,
        weights=weights,
        choices=choices,
        freezing=freezing,
        observers=metric_facts(measuring, supplied_to_metrics(runtime, samples, fit.objective, fit.output_shape))
        | observer_facts(observers, spec.epochs),
        measures=describe_measures(metrics),
        initial=initial,
        from_data=from_data,
        warnings=[
            *_warnings([*measuring, *observers, *chosen.values()], chosen, samples.plan, fit, optimization),
            *filter(None, [weights.warning, choices.warning]),
        ],
    )


def _device(spec: RunSpec, processes: Processes) -> torch.device:
    device = resolve_device(spec.device, processes.local_rank, processes.local_world_size)
    if spec.deterministic:
        check_workspace(device)
    if processes.world_size > 1:
        set_current_device(device)
        processes.check_together(hardware_id(device), check_not_shared)
    return device


def _check_kept(objective: Objective, chosen: Mapping[str, Choice]) -> None:
    """Checks that what model and loss have learned can be saved."""
    check_kept(objective.model.state_dict(), f"the model {chosen['model'].label}")
    if objective.trains_loss:
        check_kept(objective.loss_state(), f"the loss {chosen['loss'].label}")


def _full_spec(spec: RunSpec, selection: Selection, chosen: Mapping[str, Choice]) -> RunSpec:
    """The spec with full ids, and with the defaults that depend on the data set."""
    named: dict[str, Any] = {field: choice.spec for field, choice in chosen.items() if choice.spec is not None}
    optimizers = selection.group_optimizers
    groups = tuple(
        attrs.evolve(group, optimizer=optimizers[group.pattern].spec) if group.pattern in optimizers else group
        for group in spec.param_groups
    )
    return attrs.evolve(spec, **named, param_groups=groups)


def _specs(choices: list[Choice]) -> list[str | ComponentSpec]:
    return [choice.spec for choice in choices if choice.spec is not None]


def _all_chosen(selection: Selection, data: Data, registries: Registries) -> dict[str, Choice]:
    """Field -> what fills it; a field that stays empty is left out."""
    chosen = {
        "data": selection.data,
        "model": selection.model,
        "loss": select_loss(selection, data.task, registries),
        "optimizer": selection.optimizer,
        "scheduler": selection.scheduler,
    }
    return {field: choice for field, choice in chosen.items() if choice is not None}


def _classes(request: Request) -> dict[str, str]:
    """Field -> the class of what was given as a Python object."""
    found = {field: class_name(part) for field, part in request.objects.items()}
    return found | ({METRICS: ", ".join(map(class_name, request.metrics))} if request.metrics else {})


def _warnings(
    named: Sequence[Choice], chosen: Mapping[str, Choice], plan: BatchPlan, fit: Fit, optimization: Optimization
) -> Iterator[str]:
    """Sentences to show before the run."""
    yield from filter(None, (choice.warning for choice in named))
    yield from fit.warnings
    if not plan.is_whole:
        yield from _cut_warnings(chosen, plan, fit)
    yield from optimization.warnings


def _cut_warnings(chosen: Mapping[str, Choice], plan: BatchPlan, fit: Fit) -> Iterator[str]:
    if fit.reduction.rule is None:
        why = (
            "declares nothing that says what it averages over (give a lossreg.Loss)"
            if chosen["loss"].component is None
            else "is not declared as a mean over samples or elements (averages)"
        )
        yield (
            f"the loss {chosen['loss'].label} {why}: each step is the mean of {plan.describe_cut()} weighted by their "
            "samples, which may differ from the loss of the whole batch"
        )
    if any(isinstance(module, _BATCH_NORM) for module in fit.objective.modules()):
        yield f"the model {chosen['model'].label} has batch normalisation, which sees each of {plan.describe_cut()}"
