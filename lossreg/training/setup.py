"""From a request to the parts of a run: functions that take what they need and return what they made, in turn."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import attrs
import torch

from lossreg.data import Data
from lossreg.errors import BuildError, ConfigError, ContractError, DataError, LossregError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.registries import Registries
from lossreg.run_spec import METRICS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.adapting import adapted, build_criterion
from lossreg.training.batch_statistics import BatchStatistics
from lossreg.training.choosing import Measure, choose
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.load import load_split
from lossreg.training.data.splits import Split, StreamedSplit
from lossreg.training.data.validation import HeldOut, hold_out
from lossreg.training.evaluate import metric_names, quality_name
from lossreg.training.hardware.compile import check_compiler
from lossreg.training.hardware.deterministic import check_workspace
from lossreg.training.hardware.device import check_not_shared, hardware_id, resolve_device
from lossreg.training.hardware.distributed import Processes, set_current_device
from lossreg.training.hardware.memory_format import Layout, apply_layout, choose_layout
from lossreg.training.hardware.precision import choose_precision
from lossreg.training.initial_weights import start_from
from lossreg.training.loss.adapter import LossAdapter
from lossreg.training.loss.contract import Mismatch, ProbeResult, check_contract, mismatch_of
from lossreg.training.loss.data_values import with_data_values
from lossreg.training.loss.finite import check_first_loss
from lossreg.training.loss.objective import Objective
from lossreg.training.loss.reduction import Reduction, reduction_of
from lossreg.training.metrics.named import (
    BuiltMetric,
    NamedMetric,
    build_metrics,
    describe_measures,
    metric_facts,
    metric_runtime,
    name_metrics,
)
from lossreg.training.observing import observer_facts
from lossreg.training.optim.freezing import plan_freezing
from lossreg.training.optim.layout import layout_failure
from lossreg.training.optim.needs import declared_needs
from lossreg.training.optim.optimizer import OptimizerPlan, build_optimizer
from lossreg.training.optim.probe import find_needs, make_once
from lossreg.training.optim.routing import describe_groups, optimizer_facts, plan_optimizer, rest_warning
from lossreg.training.optim.scheduler import choose_stepping
from lossreg.training.optim.schedules import (
    PlannedSchedule,
    build_schedules,
    describe_schedules,
    followed_metrics,
    plan_schedules,
    preview_schedules,
    rate_warnings,
    rates_of_first,
    scheduler_facts,
)
from lossreg.training.optim.support import check_support, needs_warnings, why_contiguous
from lossreg.training.optim.trial_step import try_step
from lossreg.training.parts import Evaluation, Fit, Optimization, Parts, Samples
from lossreg.training.seeds import forked_generators, seed_construction
from lossreg.training.selection import (
    Choice,
    Request,
    Selection,
    check_effects,
    class_name,
    select,
    select_loss,
    select_metrics,
    select_observers,
)
from lossreg.training.state_dicts import check_kept
from lossreg.training.weights import Weights
from lossreg.training.weights_choice import choose_weights
from lossreg.validation import Cut

Runtime = Mapping[str, Any]  # runtime name -> what factories that ask for it get

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
    samples = _load_samples(selection.data, spec, device, processes, quiet=quiet or not processes.is_main)
    chosen = _all_chosen(selection, samples.data, request.registries)
    asked = chosen["loss"]
    chosen["loss"] = _with_numbers(asked, samples, processes, request.registries, quiet=quiet)
    declared = declared_needs(selection.optimizer.component)
    runtime = _runtime(spec, samples)
    objective = _build_objective(chosen, spec, device, samples, runtime, request.registries, closure=declared.closure)
    check_kept(objective.model.state_dict(), f"the model {chosen['model'].label}")
    if objective.trains_loss:
        check_kept(objective.loss_state(), f"the loss {chosen['loss'].label}")
    initial = start_from(objective.model, spec, chosen["model"].label)
    freezing = plan_freezing(spec, objective, chosen["model"].label)
    metrics = _named_metrics(measuring, chosen, samples.data, request.registries)
    measures = {one.name: one.measure for one in metrics}
    plan, schedules = _plan_optimization(selection, chosen, spec, samples, objective, runtime, measures)
    choices = choose(spec, _metrics(spec, samples, measures), followed_metrics(plan, schedules), measures)
    plan, fit = _fitted(request, chosen, device, processes, samples, objective, plan, runtime, metrics)
    # torch's fused SGD does not take a gradient that comes later.
    unfused = fit.objective.precision.scaler() is not None or bool(freezing.epochs)
    optimization = _optimization(chosen, device, fit.objective, plan, schedules, unfused=unfused)
    weights = _weights(chosen, spec, device, processes, samples, fit, optimization)
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
        observers=metric_facts(measuring, _metric_runtime(runtime, samples, fit.objective, fit.output_shape))
        | observer_facts(observers, spec.epochs),
        measures=describe_measures(metrics),
        initial=initial,
        from_data={} if chosen["loss"] is asked or asked.spec is None else {"loss": asked.spec.text},
        warnings=[
            *filter(None, [choice.warning for choice in (*measuring, *observers)]),
            *_warnings(chosen, samples.plan, fit, optimization),
            *filter(None, [weights.warning, choices.warning]),
        ],
    )


def rebuild(
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    samples: Samples,
    runtime: Runtime,
    of: Registries,
) -> Objective:
    """Builds model and loss as a run built them, from its seed; the random generators stay as they were.

    Args:
        chosen: `model` and `loss`.
        spec: Of the run.
        device: Where they shall be.
        samples: Of the data set, or what stands for them.
        runtime: Runtime name -> value, as the run had them.
        of: Where names are looked up.

    Raises:
        LossregError: If one of them cannot be built.
    """
    with forked_generators(device):
        return _build_objective(chosen, spec, device, samples, runtime, of, closure=False)


def set_up_evaluation(
    objective: Objective,
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    of: Registries,
    adapted: Callable[[Data], Data],
    measuring: Sequence[Choice] = (),
) -> Evaluation:
    """Loads a data set, and checks that model and loss fit it; the generators stay as they were.

    Args:
        objective: Model and loss, with their weights, on the device.
        chosen: `data`, `model` and `loss`.
        spec: How samples are loaded, cut and laid out.
        device: Where it all is.
        of: Where names are looked up.
        adapted: Makes of the data set what the model was trained for.
        measuring: The metrics.

    Raises:
        LossregError: If the data set cannot be loaded, or does not fit.
    """
    processes = Processes()
    with forked_generators(device):
        samples = _load_samples(chosen["data"], spec, device, processes, quiet=True, adapted=adapted)
        mismatch = mismatch_of({field: choice.label for field, choice in chosen.items()})
        declared, data, splits = chosen["loss"].component, samples.data, samples.splits
        check = functools.partial(
            check_contract, objective, declared, data, splits, samples.plan, mismatch, of.losses, eval_train=True
        )
        layout = choose_layout(spec.layout, objective.model, splits["train"].head(1)[0], device, None)
        apply_layout(layout, objective.model, splits.values())
        probe = check()
        reduction = _choose_reduction(objective.adapter, samples, probe)
        named = _named_metrics(measuring, chosen, data, of)
        metrics = _build_metrics(named, samples, objective, probe, _runtime(spec, samples), processes)
    fit = Fit(objective, layout, reduction, probe.output_shape, probe.unused, {}, metrics=metrics)
    return Evaluation(spec, device, processes, samples, fit)


def _fitted(
    request: Request,
    chosen: Mapping[str, Choice],
    device: torch.device,
    processes: Processes,
    samples: Samples,
    objective: Objective,
    plan: OptimizerPlan,
    runtime: Runtime,
    metrics: Sequence[NamedMetric],
) -> tuple[OptimizerPlan, Fit]:
    """Finds what the optimizers need, and a layout in which data, model and loss fit: a first batch shows both."""
    spec = request.spec
    plan, is_known = _needs_of_dense(plan, device)
    check_support(plan, spec, objective.precision, processes)
    mismatch = mismatch_of({field: choice.label for field, choice in chosen.items()})
    check = functools.partial(
        check_contract,
        objective,
        chosen["loss"].component,
        samples.data,
        samples.splits,
        samples.plan,
        mismatch,
        request.registries.losses,
        eval_train=spec.eval_train,
    )
    contiguous = why_contiguous(plan)
    layout = choose_layout(spec.layout, objective.model, samples.splits["train"].head(1)[0], device, contiguous)
    layout, probe = _settle_layout(layout, spec, objective.model, samples, check, plan)
    plan = plan.with_sparse(probe.sparse, objective.trainable())
    if not is_known:
        plan = find_needs(plan, device)
        check_support(plan, spec, objective.precision, processes)
    fit = _fit(chosen, samples, objective, layout, probe, runtime, mismatch)
    built = _build_metrics(metrics, samples, objective, probe, runtime, processes)
    return plan, attrs.evolve(fit, metrics=built)


def _device(spec: RunSpec, processes: Processes) -> torch.device:
    device = resolve_device(spec.device, processes.local_rank, processes.local_world_size)
    if spec.deterministic:
        check_workspace(device)
    if processes.world_size > 1:
        set_current_device(device)
        processes.check_together(hardware_id(device), check_not_shared)
    return device


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


def _load_samples(
    choice: Choice,
    spec: RunSpec,
    device: torch.device,
    processes: Processes,
    *,
    quiet: bool,
    adapted: Callable[[Data], Data] = lambda data: data,
) -> Samples:
    """Builds the data set, and brings its splits to the device."""
    runtime: Runtime = {"epochs": spec.epochs}
    seed_construction(spec.seed)  # for a data set that draws numbers: the same in every run and process
    with processes.local_main_first():  # where it downloads, once is enough
        data = choice.build(runtime=runtime)
    if not isinstance(data, Data):
        raise ConfigError(f"the data set {choice.label} is a {type(data).__name__}, not a lossreg.Data")
    data = adapted(data)
    sources, held = _sources(data, spec, choice.label)
    splits = {
        name: load_split(
            source,
            data.task,
            limit,
            device,
            f"data set {choice.label}, split {name}",
            loader=spec.loader,
            workers=spec.workers,
            local_world_size=processes.local_world_size,
            quiet=quiet,
        )
        for name, (source, limit) in sources.items()
    }
    if spec.workers is not None and not any(isinstance(split, StreamedSplit) for split in splits.values()):
        raise ConfigError("workers (--workers) has no effect: no split is read by a data loader (--loader dataloader)")
    in_dtype = _check_shape(data, splits["train"], choice.label)
    processes.check_equal({name: len(split) for name, split in splits.items()}, "the numbers of samples")
    processes.check_equal(held and held.facts["digest"], "the validation splits")
    plan = BatchPlan(len(splits["train"]), spec.batch_size, spec.accumulate, processes.rank, processes.world_size)
    facts = {"data": choice.facts(runtime)}
    if held is None:
        return Samples(data, splits, plan, facts, in_dtype=in_dtype)
    return Samples(data, splits, plan, facts, held.facts, in_dtype=in_dtype, origin=held.left)


def _sources(data: Data, spec: RunSpec, label: str) -> tuple[dict[str, tuple[Any, int | None]], HeldOut | None]:
    """Name of a split -> its samples and how many of them are used; and the validation split that was cut off."""
    test = (data.test, spec.limit_test)
    if spec.validate is None:
        return {"train": (data.train, spec.limit_train), "test": test}, None
    where = f"data set {label}, split train"
    held = hold_out(data.train, Cut.of(spec.validate), data.task, spec.limit_train, spec.seed, where)
    return {"train": (held.train, None), "validation": (held.validation, None), "test": test}, held


def _check_shape(data: Data, train: Split, label: str) -> torch.dtype:
    """Compares `in_shape`, by which models are built, with a sample; test images may be larger for some models.

    Returns:
        The type of the sample's numbers.
    """
    inputs = train.head(1)[0]
    shape = tuple(inputs.shape[1:])
    if shape != data.in_shape:
        raise DataError(
            f"data set {label}, split train: an input has the shape {shape}, but in_shape, the shape of one input "
            f"without the batch, is {data.in_shape}"
        )
    return inputs.dtype


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


def _with_numbers(loss: Choice, samples: Samples, processes: Processes, of: Registries, *, quiet: bool) -> Choice:
    """The loss with what it asks of the training split; itself, if it asks for nothing."""
    if loss.resolved is None:
        return loss
    quiet = quiet or not processes.is_main
    train = samples.splits["train"]
    resolved = with_data_values(loss.resolved, loss.label, samples.data, train, processes, of.losses, quiet=quiet)
    return loss if resolved is loss.resolved else attrs.evolve(loss, resolved=resolved)


def _runtime(spec: RunSpec, samples: Samples) -> Runtime:
    steps = samples.plan.steps
    return {
        "epochs": spec.epochs,
        "steps_per_epoch": steps,
        "total_steps": steps * spec.epochs,
        "num_samples": len(samples.splits["train"]),
        **samples.data.facts(),
    }


def _build_objective(
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    samples: Samples,
    runtime: Runtime,
    registries: Registries,
    *,
    closure: bool,
) -> Objective:
    """Builds model and loss."""
    # Again, whatever the data set drew: the seed decides the weights of model and loss, in this order.
    seed_construction(spec.seed)
    model = _build_model(chosen["model"], runtime).to(device)
    criterion = build_criterion(chosen["loss"], runtime)
    if isinstance(criterion, torch.nn.Module):
        criterion = criterion.to(device)
    # A module that was given in evaluation mode, such as batch normalisation with fixed statistics, stays in it.
    frozen = [module for module in model.modules() if not module.training] if model.training else []
    _initialise_lazy(model, samples.splits["train"])
    precision = choose_precision(spec.precision, device, model, closure=closure)
    adapter = adapted(criterion, chosen["loss"], samples.data.task, registries)
    return Objective(model, adapter, precision, frozen)


def _settle_layout(
    layout: Layout,
    spec: RunSpec,
    model: torch.nn.Module,
    samples: Samples,
    check: Callable[[], ProbeResult],
    plan: OptimizerPlan,
) -> tuple[Layout, ProbeResult]:
    """Lays out weights and images; contiguously, if model, loss or optimizer do not work in what was chosen for them.

    Raises:
        ContractError: If model and loss do not work in any layout, or not in the one that was requested.
        ConfigError: If the optimizer does not work in the layout that was requested.
    """
    apply_layout(layout, model, samples.splits.values())
    if not layout.is_channels_last:
        return layout, check()
    try:
        probe = check()
        failure = layout_failure(plan)
        if failure is None:
            return layout, probe
        why = f"the optimizer {plan.choice.label} cannot step on weights in channels_last: {failure}"
        refused: LossregError = ConfigError(why)
    except ContractError as error:
        refused = error
        why = f"model or loss failed in channels_last: {describe_error(error.__cause__ or error)}"
    if spec.layout != "auto":
        refused.message += "; the layout channels_last was requested (--layout): auto or contiguous may work"
        raise refused
    layout = Layout(torch.contiguous_format, why)
    apply_layout(layout, model, samples.splits.values())
    return layout, check()


def _fit(
    chosen: Mapping[str, Choice],
    samples: Samples,
    objective: Objective,
    layout: Layout,
    probe: ProbeResult,
    runtime: Runtime,
    mismatch: Mismatch,
) -> Fit:
    """Decides from a first batch what the loss divides by."""
    reduction = _choose_reduction(objective.adapter, samples, probe)
    check_first_loss(objective, probe, reduction, samples.splits, mismatch)
    if reduction.summed is not None and not samples.plan.is_whole:
        objective = Objective(
            objective.model, objective.adapter, objective.precision, objective.frozen, total=reduction.summed
        )
    lied = f"the loss {chosen['loss'].label} {reduction.warning}" if reduction.warning else None
    return Fit(
        objective,
        layout,
        reduction,
        probe.output_shape,
        probe.unused,
        {field: chosen[field].facts(runtime) for field in ("model", "loss")},
        tuple(filter(None, (objective.precision.warning, lied))),
    )


def _build_model(choice: Choice, runtime: Runtime) -> torch.nn.Module:
    model = choice.build(runtime=runtime)
    if not isinstance(model, torch.nn.Module):
        raise ConfigError(f"the model {choice.label} is not a torch.nn.Module")
    if not any(parameter.requires_grad for parameter in model.parameters()):
        raise ConfigError(f"the model {choice.label} has no weight that can be trained")
    return model


def _initialise_lazy(model: torch.nn.Module, split: Split) -> None:
    """Gives lazy modules (`nn.LazyLinear`) their weights, from the generator that the seed has set."""
    if any(isinstance(p, torch.nn.parameter.UninitializedParameter) for p in model.parameters()):
        try:
            with torch.no_grad():
                model.eval()(split.head(2)[0])
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise ConfigError(f"the model's lazy modules cannot be initialised: {describe_error(error)}") from error


def _choose_reduction(adapter: LossAdapter, samples: Samples, probe: ProbeResult) -> Reduction:
    ignored = adapter.ignore_index
    may_be_ignored = ignored is not None and any(split.may_hold(ignored) for split in samples.splits.values())
    return reduction_of(adapter, probe.adapter, probe.output, probe.targets, may_be_ignored=may_be_ignored)


def _metrics(spec: RunSpec, samples: Samples, measures: Mapping[str, Measure]) -> list[str]:
    """The metrics of an epoch's row."""
    evaluated = "validation" if "validation" in samples.splits else "test"
    return metric_names(samples.data.task, eval_train=spec.eval_train, evaluated=evaluated, named=[*measures])


def _named_metrics(
    measuring: Sequence[Choice], chosen: Mapping[str, Choice], data: Data, registries: Registries
) -> list[NamedMetric]:
    """The metrics that the run names, each under the name that it has in rows."""
    labels = {field: chosen[field].label for field in ("model", "loss", "data")}
    return name_metrics(measuring, data.task, quality_name(data.task), labels, registries.metrics)


def _metric_runtime(
    runtime: Runtime, samples: Samples, objective: Objective, output_shape: tuple[int, ...]
) -> dict[str, Any]:
    return metric_runtime(runtime, samples.data.task, output_shape, objective.adapter.ignore_index)


def _build_metrics(
    named: Sequence[NamedMetric],
    samples: Samples,
    objective: Objective,
    probe: ProbeResult,
    runtime: Runtime,
    processes: Processes,
) -> tuple[BuiltMetric, ...]:
    supplied = _metric_runtime(runtime, samples, objective, probe.output_shape)
    batch, shared = (probe.output, probe.targets), processes.world_size > 1
    return build_metrics(named, samples.data.task, supplied, batch, shared=shared)


def _classes(request: Request) -> dict[str, str]:
    """Field -> the class of what was given as a Python object."""
    found = {field: class_name(part) for field, part in request.objects.items()}
    return found | ({METRICS: ", ".join(map(class_name, request.metrics))} if request.metrics else {})


def _plan_optimization(
    selection: Selection,
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    samples: Samples,
    objective: Objective,
    runtime: Runtime,
    measures: Mapping[str, Measure],
) -> tuple[OptimizerPlan, list[PlannedSchedule]]:
    """Decides what the optimizers are built from, which schedulers move their rates, and when these step."""
    metrics = _metrics(spec, samples, measures)
    better = {name: measure.better for name, measure in measures.items()}
    stepping = choose_stepping(
        chosen.get("scheduler"), spec.scheduler_interval, metrics, spec.epochs, samples.plan.steps, better
    )
    plan = plan_optimizer(
        chosen["optimizer"],
        spec.param_groups,
        selection.group_optimizers,
        objective,
        chosen["model"].label,
        {**runtime, "interval": stepping.interval, "span": stepping.span, "model": objective.model},
    )
    return plan, plan_schedules(plan, chosen.get("scheduler"), stepping, spec.scheduler_interval, metrics, better)


def _needs_of_dense(plan: OptimizerPlan, device: torch.device) -> tuple[OptimizerPlan, bool]:
    """The plan with what the optimizers need where gradients are dense, and whether they can step on such.

    Whether gradients are sparse is shown by the first batch, and that comes later: in a layout which goes by the needs.
    """
    plan = make_once(plan)
    try:
        return find_needs(plan, device), True
    except BuildError:
        return plan, False


def _optimization(
    chosen: Mapping[str, Choice],
    device: torch.device,
    objective: Objective,
    plan: OptimizerPlan,
    schedules: list[PlannedSchedule],
    *,
    unfused: bool,
) -> Optimization:
    """Builds optimizer and scheduler, after trials with throw-away weights."""
    scaler = objective.precision.scaler()
    plan = try_step(plan, device, unfused=unfused)
    previews = preview_schedules(plan, schedules, device)
    optimizer, warning = build_optimizer(plan)
    warnings = filter(None, (warning, *needs_warnings(plan), rest_warning(chosen["optimizer"], plan)))
    facts = optimizer_facts(chosen["optimizer"], plan)
    return Optimization(
        optimizer,
        plan.all_needs,
        scaler,
        schedule=build_schedules(schedules, plan, optimizer, previews, may_skip=scaler is not None),
        rates=rates_of_first(schedules, previews),
        planned=[(one.of(plan), rates) for one, rates in zip(schedules, previews, strict=True) if one.members],
        facts=facts | scheduler_facts(chosen["optimizer"], plan, schedules, optimizer),
        groups=describe_groups(plan),
        schedules=describe_schedules(plan, schedules, previews),
        warnings=[*warnings, *rate_warnings(plan, schedules, previews)],
    )


def _weights(
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    device: torch.device,
    processes: Processes,
    samples: Samples,
    fit: Fit,
    optimization: Optimization,
) -> Weights:
    """Decides which weights are evaluated, kept and saved."""
    train = samples.splits["train"]
    return choose_weights(
        spec.weights,
        optimization.optimizer,
        chosen["optimizer"].label,
        fit.objective,
        BatchStatistics(fit.objective, train, spec.batch_size, processes, spec.seed, device),
        spec.epochs,
        spec.epochs * samples.plan.steps,
    )


def _warnings(chosen: Mapping[str, Choice], plan: BatchPlan, fit: Fit, optimization: Optimization) -> Iterator[str]:
    """Sentences to show before the run."""
    yield from filter(None, (choice.warning for choice in chosen.values()))
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
