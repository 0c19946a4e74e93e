"""Groups of parameters by patterns over their names, and the optimizer's options for each."""

from __future__ import annotations

import fnmatch
from collections.abc import Mapping
from types import MappingProxyType
from typing import Any, NamedTuple, TypeVar

import torch
from torch.nn import Parameter

from lossreg.errors import ConfigError, LossregError
from lossreg.registry.build import ResolvedComponent
from lossreg.run_spec import ParamGroup
from lossreg.suggestions import close_matches

P = TypeVar("P")
_NONE: Mapping[str, str] = MappingProxyType({})
MAX_SHOWN = 20  # names in an error message


class OptimizerGroup(NamedTuple):
    """Parameters with the options that the optimizer has for them."""

    options: dict[str, Any]
    parameters: list[Parameter]


def check_options(
    groups: tuple[ParamGroup, ...], optimizer: ResolvedComponent[Any], runtime: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """The options of each group, in the form that the optimizer takes.

    An optimizer with the options of each group for its own is built and thrown away: torch does not look at those of
    groups.

    Raises:
        LossregError: If the optimizer has no such parameter, or a value does not fit it.
    """
    checked = []
    for group in groups:
        try:
            options = optimizer.entry.checked(dict(group.options))
            _check_rate(options)
            params = {**optimizer.params, **options}
            trial = ResolvedComponent(optimizer.entry, params, params)
            trial.build([Parameter(torch.zeros(1))], runtime=runtime)
        except LossregError as error:
            error.message = f"param_groups: {group.pattern!r}: {error.message}"
            raise
        checked.append(options)
    return checked


def _check_rate(options: Mapping[str, Any]) -> None:
    rate = options.get("lr")
    if isinstance(rate, int | float) and abs(rate) > torch.finfo(torch.float32).max:
        raise ConfigError(f"lr={rate:g}, which no float32 weight can be moved by")


def group_names(
    names: Mapping[str, P], groups: tuple[ParamGroup, ...], model: str, further: Mapping[str, str] = _NONE
) -> list[list[P]]:
    """Sorts parameters into groups: first those that match no pattern, then those of each.

    Args:
        names: The trainable parameters by name.
        groups: The patterns; upper and lower case differ, `*` matches dots too.
        model: The model in an error message.
        further: Further names of the parameters -> their name in `names`.

    Raises:
        ConfigError: If a pattern matches nothing, or further names alone, or two match one parameter.

    Example:
        >>> group_names({"0.weight": 1, "0.bias": 2, "1.bias": 3}, (ParamGroup("*.bias", ()),), "mlp")
        [[1], [2, 3]]
    """
    matched: dict[str, str] = {}
    for group in groups:
        found = [name for name in names if fnmatch.fnmatchcase(name, group.pattern)]
        if not found:
            _refuse_further(group.pattern, further)
            meant = close_matches(group.pattern, names)
            hint = f" Did you mean {' or '.join(map(repr, meant))}?" if meant else ""
            shown = [*names][:MAX_SHOWN] + ([f"... {len(names) - MAX_SHOWN} more"] if len(names) > MAX_SHOWN else [])
            raise ConfigError(
                f"param_groups: {group.pattern!r} matches no trainable parameter of {model}.{hint} "
                f"Parameters: {', '.join(shown)}"
            )
        for name in found:
            if name in matched:
                raise ConfigError(
                    f"param_groups: the parameter {name} is in two groups, {matched[name]!r} and {group.pattern!r}"
                )
            matched[name] = group.pattern
    rest = [parameter for name, parameter in names.items() if name not in matched]
    return [rest, *([names[name] for name in names if matched.get(name) == group.pattern] for group in groups)]


def _refuse_further(pattern: str, further: Mapping[str, str]) -> None:
    """Refuses a pattern that matches further names of parameters, and no first one.

    They are not used as names: a pattern for the rest of a tied layer would take the shared weight from its group.
    """
    same = {name: first for name, first in further.items() if fnmatch.fnmatchcase(name, pattern)}
    if same:
        name, first = next(iter(same.items()))
        raise ConfigError(
            f"param_groups: {pattern!r} matches {name}, which is the same tensor as {first}; it goes by that name: "
            f"write {first}"
        )
