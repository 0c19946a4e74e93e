"""Which optimizer trains which parameter: by patterns, and by what an optimizer says that it is for."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import TYPE_CHECKING, Any

import attrs
import torch
from torch.nn import Parameter

from lossreg.components import Routes
from lossreg.errors import ConfigError, LossregError
from lossreg.groups import NO_DECAY, ParamGroup
from lossreg.registry.levels import levels_of
from lossreg.training.optim.group_options import takes
from lossreg.training.optim.layers import Parameters
from lossreg.training.optim.needs import declared_needs
from lossreg.training.optim.optimizer import OptimizerPlan, makes
from lossreg.training.optim.param_groups import OptimizerGroup, Presets, match_parameters, sort_groups
from lossreg.training.optimizer_choice import ROUTED

if TYPE_CHECKING:
    from lossreg.training.choice import Choice
    from lossreg.training.loss.objective import Objective

MAX_MATRICES = 6  # names in a warning


def plan_optimizer(
    choice: Choice,
    groups: tuple[ParamGroup, ...],
    group_optimizers: Mapping[str, Choice],
    objective: Objective,
    model: str,
    runtime: Mapping[str, Any],
) -> OptimizerPlan:
    """Gives each parameter an optimizer and a group, and checks the options of each group.

    Args:
        choice: The optimizer of the run.
        groups: Patterns and presets.
        group_optimizers: Pattern -> the optimizer that its group has of its own.
        objective: What is trained.
        model: The model in an error message.
        runtime: Runtime name -> value.

    Returns:
        The plan of the first optimizer, which has those of the others.

    Raises:
        LossregError: If a pattern or its options are wrong.
    """
    named = objective.trainable()
    if not groups and choice.rest is None:
        group = OptimizerGroup({}, list(named.values()), tuple(named))
        return OptimizerPlan(choice, [group], False, runtime, declared_needs(choice.component))
    known, further = Parameters.of(objective), objective.further_names()
    try:
        first, *others = _plan_all(choice, groups, group_optimizers, named, known, further, model, runtime)
    except LossregError as error:
        error.setting = error.setting or "param_groups"
        raise
    return attrs.evolve(first, others=tuple(others))


def _plan_all(
    choice: Choice,
    groups: tuple[ParamGroup, ...],
    group_optimizers: Mapping[str, Choice],
    named: Mapping[str, Parameter],
    known: Parameters,
    further: Mapping[str, str],
    model: str,
    runtime: Mapping[str, Any],
) -> list[OptimizerPlan]:
    if groups and choice.resolved is None and not _is_function(choice):
        raise ConfigError("param_groups has no effect on an optimizer that is an object; it has groups already")
    facts = {name: known.facts[name] for name in named}
    frozen = {name: one for name, one in known.facts.items() if name not in named}
    matched = match_parameters(facts, [group for group in groups if not group.is_preset], model, further, frozen)
    presets = Presets.of(groups)
    members = _members(choice, group_optimizers, matched, known, named, model)
    if presets.no_decay and not any(takes(member, "weight_decay", runtime) for member, _ in members):
        labels = " and ".join(dict.fromkeys(member.label for member, _ in members))
        raise ConfigError(f"param_groups: {NO_DECAY!r} has no effect: {labels} has no parameter 'weight_decay'")
    plans = []
    for member, names in members:
        needs = declared_needs(member.component)
        levels = [] if member.resolved is None else levels_of(member.resolved)
        if any(declared_needs(level.entry.component).first == "model" for level in levels):
            raise ConfigError(
                f"param_groups has no effect on {member.label}, which takes the model; it makes its own groups"
                if groups
                else f"{member.label} takes the model, so it cannot be one of several optimizers; use it alone",
            )
        sorted_groups = sort_groups(names, matched, presets, known, named, member, runtime)
        is_plain = not groups or (len(sorted_groups) == 1 and not sorted_groups[0].options)
        plans.append(OptimizerPlan(member, sorted_groups, not is_plain, runtime, needs))
    return plans


def _is_function(choice: Choice) -> bool:
    return makes(choice.given, torch.optim.Optimizer)


def _members(
    choice: Choice,
    group_optimizers: Mapping[str, Choice],
    matched: Mapping[str, ParamGroup],
    known: Parameters,
    named: Mapping[str, Parameter],
    model: str,
) -> list[tuple[Choice, list[str]]]:
    """The optimizers that have parameters, each with their names: that of the run, its rest, those of the groups."""
    routed = choice.routed if choice.rest is not None else None
    own: list[str] = []
    rest: list[str] = []
    others: dict[str, list[str]] = {pattern: [] for pattern in group_optimizers}
    to_rest = {name for name, group in matched.items() if group.goes_to_rest and group.pattern not in others}
    output = to_rest or known.output  # what a person says is not guessed
    for name in named:
        group = matched.get(name)
        if group is not None and group.pattern in others:
            others[group.pattern].append(name)
        elif routed is None or (name not in to_rest and _is_for(routed.routes, name, known, output)):
            own.append(name)
        else:
            rest.append(name)
    if routed is not None and rest and not own:
        what = ROUTED[routed.routes]
        where = f"{model} outside of the groups that have an optimizer of their own" if any(others.values()) else model
        error = ConfigError(
            f"{routed.name} trains {what}, and there are none for it in {where}; name another optimizer"
        )
        error.setting = "optimizer"
        raise error
    members = [(choice, own), *([(choice.rest, rest)] if choice.rest is not None else [])]
    members += [(group_optimizers[pattern], names) for pattern, names in others.items()]
    return [(member, names) for member, names in members if names]


def _is_for(routes: Routes, name: str, known: Parameters, output: Collection[str]) -> bool:
    """Whether an optimizer with these routes is for a parameter."""
    dimensions = len(known.facts[name].shape)
    if dimensions < 2 or (dimensions > 2 and routes in ("matrices", "hidden_matrices")):
        return False
    is_hidden = not any(name in some for some in (known.embeddings, known.of_loss, output))
    return is_hidden or routes in ("matrices", "weights")


def describe_groups(plan: OptimizerPlan) -> list[dict[str, Any]]:
    """What each group is trained with, for the run record."""
    return [
        {
            "optimizer": member.choice.label,
            "pattern": group.pattern,
            "options": dict(group.options),
            "tensors": len(group.parameters),
            "parameters": sum(parameter.numel() for parameter in group.parameters),
            "names": list(group.names),
        }
        for member in plan.members
        for group in member.groups
    ]


def optimizer_facts(choice: Choice, plan: OptimizerPlan) -> dict[str, Any]:
    """What the run record says of the optimizer of the run, and of those that step together with it."""
    by_choice = {id(member.choice): member for member in plan.members}
    own = by_choice.pop(id(choice), plan)  # it may have no parameters
    return {
        "optimizer": _facts(choice, own),
        **{
            f"optimizer.{number}": _facts(other.choice, other)
            for number, other in enumerate(by_choice.values(), start=2)
        },
    }


def _facts(choice: Choice, plan: OptimizerPlan) -> dict[str, Any] | None:
    runtime = {**plan.runtime, "params": plan.params(), "named_params": "by name", "model": "the model"}
    return choice.facts(runtime)


def rest_warning(choice: Choice, plan: OptimizerPlan) -> str | None:
    """A sentence about an optimizer that was not named, or has nothing to train; or None."""
    trained = [member.choice for member in plan.members]
    if choice not in trained:
        return f"the optimizer {choice.label} trains nothing: all parameters are in groups with optimizers of their own"
    if choice.rest is None or choice.rest not in trained or choice.rest_is_named:
        return None
    rest = plan.members[trained.index(choice.rest)]
    count = f"{len(rest.parameters)} of the {len(plan.parameters)} parameter tensors"
    name, routed = choice.component.name, choice.routed
    before = "" if routed is choice.component else "..., "
    matrices = [
        name for group in rest.groups for name, one in zip(group.names, group.parameters, strict=True) if one.ndim > 1
    ]
    more = f" and {len(matrices) - MAX_MATRICES} more" if len(matrices) > MAX_MATRICES else ""
    which = (
        f"; of the matrices, {choice.rest.label} trains {', '.join(matrices[:MAX_MATRICES])}{more}: 'PATTERN: rest' in "
        "param_groups says which it should"
    )
    return (
        f"{routed.name} trains {ROUTED[routed.routes]} only: {choice.rest.label} trains the rest, {count}; "
        f"{name}({before}rest={choice.rest.label}) says so, or names another optimizer{which if matrices else ''}"
    )
