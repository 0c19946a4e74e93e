"""Trying an optimizer of a bridge: some steps, and what it needs of the loop."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import attrs
import torch
from torch.nn import Parameter

from lossreg.errors import LossregError
from lossreg.registry.build import resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import Registries, load_registries
from lossreg.training.choice import Choice
from lossreg.training.optim.layout import layout_failure
from lossreg.training.optim.modes import set_training_mode
from lossreg.training.optim.needs import PROBED, declared_needs, take_step
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.param_groups import OptimizerGroup
from lossreg.training.optim.probe import find_needs
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg_bridges.candidates import GROUPS
from lossreg_bridges.trial_data import CPU, OPTIMIZER_STEPS, RUNTIME, Found, TrialError


def _model() -> torch.nn.Module:
    """Weights of four dimensions, two and one, as most models have them."""
    return torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.Flatten(), torch.nn.Linear(16, 2))


#: For which parameters an optimizer may be, the widest first, and which these are.
_ROUTES: tuple[tuple[str, Callable[[Parameter], bool]], ...] = (
    ("all", lambda _: True),
    ("weights", lambda one: one.ndim >= 2),
    ("matrices", lambda one: one.ndim == 2),
)


def try_optimizer(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
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
    model.to(memory_format=torch.channels_last)
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
    for _ in range(OPTIMIZER_STEPS):
        take_step(optimizer, plan.needs, stand_ins.backward)
    if not all(weight.isfinite().all() for weight in stand_ins.parameters):
        raise TrialError(f"{OPTIMIZER_STEPS} steps lead to weights that are not finite")
    if all(map(torch.equal, stand_ins.parameters, before)):
        raise TrialError(f"{OPTIMIZER_STEPS} steps change no weight")
