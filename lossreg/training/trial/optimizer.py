"""Trying an optimizer: what it needs, and two steps of it."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch

from lossreg.component import Component
from lossreg.errors import BuildError, ConfigError, LossregError, UnknownParameterError
from lossreg.registry.build import ResolvedComponent, resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.training.loss.gradients import SparseGradient
from lossreg.training.optim.modes import has_modes, set_training_mode
from lossreg.training.optim.needs import take_step
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.probe import find_needs, plan_alone
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg.training.trial.building import RUNTIME


def describe_needs(resolved: ResolvedComponent[Any]) -> str:
    """What an optimizer is found to need, or why that cannot be found, for a person."""
    plan, cpu = plan_alone(resolved, RUNTIME), torch.device("cpu")
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


def optimizer_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    """What is wrong with it; one line each."""
    plan = plan_alone(resolve_params({}, entry, {}), RUNTIME)
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
