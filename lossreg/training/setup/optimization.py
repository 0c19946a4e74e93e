"""Optimizers and schedules of a run: planning, trying and building them; the weights that are kept."""

from __future__ import annotations

from collections.abc import Mapping

import torch

from lossreg.run_spec import RunSpec
from lossreg.training.batch_statistics import BatchStatistics
from lossreg.training.choice import Choice
from lossreg.training.choosing import Measure
from lossreg.training.hardware.distributed import Processes
from lossreg.training.loss.objective import Objective
from lossreg.training.optim.optimizer import OptimizerPlan, build_optimizer
from lossreg.training.optim.routing import describe_groups, optimizer_facts, plan_optimizer, rest_warning
from lossreg.training.optim.scheduler import choose_stepping
from lossreg.training.optim.schedules import (
    PlannedSchedule,
    build_schedules,
    describe_schedules,
    plan_schedules,
    preview_schedules,
    rate_warnings,
    rates_of_first,
    scheduler_facts,
)
from lossreg.training.optim.support import needs_warnings
from lossreg.training.optim.trial_step import try_step
from lossreg.training.parts import Fit, Optimization, Samples
from lossreg.training.selection import Selection
from lossreg.training.setup.metrics import row_metrics
from lossreg.training.setup.samples import Runtime
from lossreg.training.weights import Weights
from lossreg.training.weights_choice import choose_weights


def plan_optimization(
    selection: Selection,
    chosen: Mapping[str, Choice],
    spec: RunSpec,
    samples: Samples,
    objective: Objective,
    runtime: Runtime,
    measures: Mapping[str, Measure],
) -> tuple[OptimizerPlan, list[PlannedSchedule]]:
    """Decides what the optimizers are built from, which schedulers move their rates, and when these step."""
    metrics = row_metrics(spec, samples, measures)
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


def build_optimization(
    chosen: Mapping[str, Choice],
    device: torch.device,
    objective: Objective,
    plan: OptimizerPlan,
    schedules: list[PlannedSchedule],
    *,
    unfreezes: bool,
) -> Optimization:
    """Builds optimizer and scheduler, after trials with throw-away weights."""
    scaler = objective.precision.scaler()
    # torch's fused SGD does not take a gradient that comes later.
    plan = try_step(plan, device, unfused=scaler is not None or unfreezes)
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


def chosen_weights(
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
