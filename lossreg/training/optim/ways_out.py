"""What to do about an optimizer that can step in no way: the end of its message."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Callable
from typing import Any

import attrs
import torch

from lossreg.errors import LossregError, describe_error
from lossreg.training.optim.optimizer import OptimizerPlan
from lossreg.training.optim.stand_ins import stand_ins_of
from lossreg.training.optim.throw_away import maker
from lossreg.training.optim.trials import best_of, trials_of
from lossreg.training.seeds import forked_generators

#: A word for `routes`, what it means, a pattern of all others, and whether a number of dimensions is for it.
_ROUTES: tuple[tuple[str, str, str, Callable[[int], bool]], ...] = (
    ("weights", "parameters of two dimensions or more", "ndim<2", lambda ndim: ndim >= 2),
    ("matrices", "matrices", "ndim!=2", lambda ndim: ndim == 2),
)


def routes_out(plan: OptimizerPlan, unsaid: tuple[str, ...], device: torch.device) -> str:
    """For which parameters a class is that fails with all of them, as the end of a message; or nothing."""
    component = plan.choice.component
    if component is None or component.routes != "all" or plan.has_patterns or plan.takes_model:
        return ""
    (group,) = plan.groups
    for routes, what, pattern, fits in _ROUTES:
        some = [index for index, one in enumerate(group.parameters) if fits(one.ndim)]
        if not some or len(some) == len(group.parameters):
            continue
        parameters, names = [group.parameters[index] for index in some], tuple(group.names[index] for index in some)
        part = group._replace(parameters=parameters, names=names)
        try:
            make = maker(attrs.evolve(plan, groups=[part]), device)
        except LossregError:
            continue
        if make is not None and best_of([*trials_of(plan.needs, unsaid, make)]) is not None:
            return (
                f"it works on {what} alone: register it with routes={routes!r}, or give the others an optimizer of "
                f"their own by param_groups: {pattern + ': adamw'!r}"
            )
    return ""


def _first_parameter(factory: Callable[..., Any]) -> str:
    """The name of the first parameter of a factory, or an empty text."""
    try:
        return next(iter(inspect.signature(factory).parameters), "")
    except (TypeError, ValueError):
        return ""


def groups_out(plan: OptimizerPlan, device: torch.device, failure: BaseException | None) -> str:
    """What a class takes that cannot be built from parameters, as the end of a message; or nothing."""
    resolved = plan.choice.resolved
    if resolved is None or resolved.entry.component.needs is not None:
        return ""
    first = _first_parameter(resolved.entry.factory)
    if first.endswith("optimizer"):
        return (
            f"it takes the optimizer that it wraps ({first}): register it with needs='optimizer', and write "
            f"{plan.choice.label}({first}=sgd)"
        )
    if plan.has_patterns:
        return ""
    grouped = attrs.evolve(plan, has_patterns=True)
    try:
        with forked_generators(), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            grouped.build(stand_ins_of(grouped, device))
    except LossregError as error:
        cause = error.__cause__
        if cause is None or str(cause) == str(failure):
            return ""
        return (
            f"given groups of parameters it says: {describe_error(cause)[:200]} (param_groups gives groups their "
            "options: 'ndim>=2: OPTION=VALUE')"
        )
    return "it takes groups of parameters: write param_groups"
