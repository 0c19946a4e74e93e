"""What an optimizer leaves unsaid, found out with throw-away weights before a run.

Each way to take a step is tried, and compared with the others where a wrong one would not fail: an optimizer that
climbs along the gradients that it finds (SAM) steps without them, too, but elsewhere.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs
import torch
from torch.nn import Parameter

from lossreg.errors import BuildError, ConfigError, LossregError
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.build import ResolvedComponent
from lossreg.registry.levels import nested_in
from lossreg.training.choice import Choice
from lossreg.training.optim.loading import why_not_kept
from lossreg.training.optim.modes import has_modes
from lossreg.training.optim.needs import PROBED, declared_needs
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.param_groups import OptimizerGroup
from lossreg.training.optim.throw_away import maker
from lossreg.training.optim.trial_step import cannot_step
from lossreg.training.optim.trials import Trial, best_of, trials_of
from lossreg.training.optim.ways_out import groups_out, routes_out


def make_once(plan: OptimizerPlan) -> OptimizerPlan:
    """Calls a function that makes an optimizer: what it made is the optimizer from then on."""
    given = plan.choice.given
    if plan.made is not None or plan.choice.resolved is not None or isinstance(given, type):
        return plan
    (own, *_) = plan.members
    return attrs.evolve(plan, made=own.build())


def find_needs(plan: OptimizerPlan, device: torch.device) -> OptimizerPlan:
    """Tries out what the records of the optimizers leave unsaid.

    Args:
        plan: The optimizer, and those that step together with it.
        device: Where they step.

    Returns:
        The plan with all that each optimizer needs.

    Raises:
        LossregError: If an optimizer can step in no way, lacks the modes that it declares, or wraps an optimizer that
            it does not support.
    """
    first, *others = [_find(member, device, is_alone=not plan.others) for member in plan.members]
    return attrs.evolve(first, others=tuple(others))


def _find(plan: OptimizerPlan, device: torch.device, *, is_alone: bool) -> OptimizerPlan:
    """The plan of one optimizer with all that it needs."""
    _check_wrapped(plan, device, is_alone=is_alone)
    component = plan.choice.component
    plan = make_once(plan)
    unsaid = tuple(field for field in PROBED if component is None or getattr(component, field) is None)
    if not unsaid:
        return plan
    trial = _chosen_trial(plan, unsaid, device, is_alone=is_alone)
    if trial is None:  # an object that cannot be copied
        return plan
    optimizer, make = trial.optimizer, trial.make
    assert optimizer is not None  # noqa: S101  # what failed is not chosen
    modes = _switches(optimizer, trial.weights) if "modes" in unsaid else plan.needs.modes
    why = why_not_kept(optimizer, lambda: make().optimizer)
    needs = attrs.evolve(trial.needs, modes=modes, found=unsaid, passes=trial.passes, unreadable=why)
    return attrs.evolve(plan, needs=needs)


def plan_alone(resolved: ResolvedComponent[Any], runtime: Mapping[str, Any]) -> OptimizerPlan:
    """An optimizer outside of a run, for a small linear model.

    Args:
        resolved: The optimizer.
        runtime: Runtime name -> value.
    """
    model = torch.nn.Linear(3, 2, bias=False)  # some take nothing but matrices
    return OptimizerPlan(
        Choice(resolved.spec.name.rpartition(".")[2], resolved),
        [OptimizerGroup({}, [*model.parameters()], ("weight",))],
        False,
        {**runtime, "model": model},
        needs=declared_needs(resolved.entry.component),
    )


def _chosen_trial(
    plan: OptimizerPlan, unsaid: tuple[str, ...], device: torch.device, *, is_alone: bool
) -> Trial | None:
    """The way in which the optimizer steps as it should."""
    refused: LossregError | None = None
    failure: BaseException | None = None
    firsts: list[tuple[str, ...]] = [plan.needs.needs]
    if "needs" in unsaid and plan.choice.resolved is not None:
        takes_all = is_alone and not plan.has_patterns
        firsts += [("named_params",), ("model",)] if takes_all else [("named_params",)]
    for first in firsts:
        shaped = attrs.evolve(plan, needs=attrs.evolve(plan.needs, needs=first))
        try:
            make = maker(shaped, device)
        except LossregError as error:
            if not isinstance(error, BuildError):
                raise
            refused = refused or error
            continue
        if make is None:
            return None
        trials = [*trials_of(shaped.needs, unsaid, make)]
        chosen = best_of(trials)
        if chosen is not None:
            return chosen
        failure = failure or trials[0].error
    if failure is None:
        assert refused is not None  # noqa: S101  # each of them failed in one way or the other
        way_out = routes_out(plan, unsaid, device) or groups_out(plan, device, refused.__cause__)
        refused.message = _joined(refused.message, way_out)
        raise refused
    cannot = cannot_step(plan, device, failure)
    cannot.message = _joined(cannot.message, routes_out(plan, unsaid, device))
    raise cannot from failure


def _joined(message: str, way_out: str) -> str:
    """A message with its end."""
    return f"{message.rstrip('.')}; {way_out}" if way_out else message


def _switches(optimizer: Any, weights: tuple[Parameter, ...]) -> bool:
    """Whether `eval()` gives other weights, and `train()` gives those that were there back."""
    if not has_modes(optimizer):
        return False
    trained = [one.detach().clone() for one in weights]
    try:
        with torch.no_grad():
            optimizer.eval()
            differs = any(not torch.equal(one, old) for one, old in zip(weights, trained, strict=True))
            optimizer.train()
    except BaseException as error:  # they are methods of something else
        if is_from_outside(error):
            raise
        return False
    return differs


def _check_wrapped(plan: OptimizerPlan, device: torch.device, *, is_alone: bool) -> None:
    """Checks that the optimizers that this one wraps are such as it supports.

    Raises:
        ConfigError: If one is not.
    """
    resolved = plan.choice.resolved
    for inner in nested_in(tuple(resolved.params.values())) if resolved is not None else ():
        choice = attrs.evolve(plan.choice, label=inner.spec.name.rpartition(".")[2], resolved=inner, rest=None)
        groups = [group.of_wrapped for group in plan.groups]
        wrapped = attrs.evolve(plan, choice=choice, groups=groups, needs=declared_needs(inner.entry.component))
        needs = _find(wrapped, device, is_alone=is_alone).needs
        for field, supported in plan.choice.component.wrapped.items():
            if getattr(needs, field) != supported:
                name = plan.choice.component.name
                raise ConfigError(
                    f"optimizer {name} wraps {choice.label}, which has {field}={getattr(needs, field)}; {name} "
                    f"supports optimizers with {field}={supported} only"
                )
