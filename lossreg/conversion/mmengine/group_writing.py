"""Parameter groups as a `paramwise_cfg` of MMEngine."""

from __future__ import annotations

import itertools
import re
from collections.abc import Iterator, Mapping
from typing import Any

from lossreg.conversion.mmengine.groups import read_paramwise
from lossreg.conversion.places import Place
from lossreg.conversion.result import Draft
from lossreg.errors import LossregError
from lossreg.groups import NO_DECAY, ParamGroup, factor_of, options_text

_RULES = ("norm_decay_mult", "bias_decay_mult", "flat_decay_mult", "bias_lr_mult")
_MOST_FACTORS = 3  # different ones, of which all combinations are tried


def write_paramwise(groups: tuple[ParamGroup, ...], has_decay: bool) -> tuple[dict[str, Any], list[str]]:
    """The `paramwise_cfg` of parameter groups, and what has none.

    Args:
        groups: The groups.
        has_decay: Whether the optimizer has a weight decay.
    """
    paramwise, left_out = _each_by_itself(groups, has_decay)
    made = _that_reads_as(groups, has_decay) if left_out else None
    return (made, []) if made is not None else (paramwise, left_out)


def _each_by_itself(groups: tuple[ParamGroup, ...], has_decay: bool) -> tuple[dict[str, Any], list[str]]:
    """A key or a rule for each group that is one by itself."""
    paramwise: dict[str, Any] = {}
    custom: dict[str, Any] = {}
    left_out = []
    for group in groups:
        options = dict(group.options)
        key = _key(group.pattern)
        if group.pattern == NO_DECAY:
            rules = {"norm_decay_mult": 0.0, "bias_decay_mult": 0.0, "flat_decay_mult": 0.0}
            if has_decay:
                paramwise |= rules
            else:
                left_out.append(f"param_groups: {NO_DECAY} is left out: there is no weight_decay that it changes")
        elif (
            group.pattern == "*.bias"
            and list(options) == ["weight_decay"]
            and _decay(options) is not None
            and has_decay
        ):
            paramwise["bias_decay_mult"] = _decay(options)
        elif key is not None and options and all(_is_custom(key, value, has_decay) for key, value in options.items()):
            custom[key] = dict(_multiplied(key, value) for key, value in options.items())
        else:
            left_out.append(
                f"param_groups: {group.pattern}: a paramwise_cfg has no pattern like it; it has parts of names, biases "
                "and normalisations"
            )
    if custom:
        if "flat_decay_mult" in paramwise:
            left_out.append(
                f"param_groups: {NO_DECAY}: in MMEngine it does not hold for parameters with {' or '.join(custom)} in "
                "their names"
            )
        paramwise["custom_keys"] = custom
    return paramwise, left_out


def _that_reads_as(groups: tuple[ParamGroup, ...], has_decay: bool) -> dict[str, Any] | None:
    """The `paramwise_cfg` of which reading makes these groups, whose patterns exclude one another; None if none is."""
    wanted = {group.pattern: options_text(group.options) for group in groups}
    custom = _custom_keys(groups)
    if custom is None or any(group.optimizer is not None or group.layer_decay is not None for group in groups):
        return None
    for rules in _rules(groups, has_decay):
        made = {**rules, **({"custom_keys": custom} if custom else {})}
        draft = Draft()
        try:
            found = read_paramwise(Place(made, "", draft), 1.0, 1.0 if has_decay else None)
        except LossregError:
            continue
        if found == wanted and not draft.left_out:
            return made
    return None


def _custom_keys(groups: tuple[ParamGroup, ...]) -> dict[str, Any] | None:
    """Key of `custom_keys` -> what it says, by where it stands in patterns: in one, or only among what they exclude."""
    custom: dict[str, Any] = {}
    for group in groups:
        for key in _keys_in(_without_excluded(group.pattern)):
            options = dict(group.options)
            if key in custom or not all(_is_custom(name, value, True) for name, value in options.items()):
                return None
            custom[key] = dict(_multiplied(name, value) for name, value in options.items())
    for group in groups:
        for key in _keys_in(group.pattern):
            custom.setdefault(key, {"lr_mult": 1.0})
    return custom


def _keys_in(pattern: str) -> list[str]:
    return re.findall(r"\*([\w.\-]*[\w\-])\*", pattern, re.ASCII)


def _without_excluded(pattern: str) -> str:
    """A pattern without each `!*a*` and `!(...)` in it."""
    pattern = re.sub(r"![^ ()]+", "", pattern)
    kept, depth = "", 0
    for before, sign in itertools.pairwise(f" {pattern}"):
        if depth or (before, sign) == ("!", "("):
            depth += (sign == "(") - (sign == ")")
        else:
            kept += sign
    return kept


def _rules(groups: tuple[ParamGroup, ...], has_decay: bool) -> Iterator[dict[str, float]]:
    """All rules that may be behind groups, by the factors that these have; those that say most come first.

    Last are those with a factor of 1, which only keeps another rule off.
    """
    options = [dict(group.options) for group in groups]
    decays = {_decay(one) for one in options if "weight_decay" in one} - {None}
    rates = {factor_of(one["lr"]) for one in options if "lr" in one} - {None}
    if len(decays) > _MOST_FACTORS or len(rates) > _MOST_FACTORS:
        return
    decay_choices: list[float | None] = [None, *sorted({1.0, *(one for one in decays if one is not None)})]
    rate_choices: list[float | None] = [None, *sorted(one for one in rates if one is not None)]
    every = itertools.product(*[decay_choices if has_decay else [None]] * 3, rate_choices)
    made = [{key: one for key, one in zip(_RULES, some, strict=True) if one is not None} for some in every]
    yield from sorted(made, key=lambda one: ([*one.values()].count(1.0), -len(one)))


def _key(pattern: str) -> str | None:
    """What of a name a pattern asks for, where a key of `custom_keys` asks for the same; otherwise None."""
    found = re.fullmatch(r"\*([\w\-][\w.\-]*)\*|\*(\.([\w\-]+))\* \| \3\* & !\*\.\*", pattern, re.ASCII)
    return (found[1] or found[2]) if found else None


def _decay(options: Mapping[str, Any]) -> float | None:
    """The factor of the weight decay that options say; None if they say a number that is not 0."""
    value = options["weight_decay"]
    return 0.0 if value == 0 else factor_of(value)


def _is_custom(key: str, value: Any, has_decay: bool) -> bool:
    """Whether an option can stand in `custom_keys`."""
    if factor_of(value) is not None:
        return key == "lr" or (key == "weight_decay" and has_decay)
    return isinstance(value, bool | int | float | str)


def _multiplied(key: str, value: Any) -> tuple[str, Any]:
    """An option by MMEngine's word, which for a factor is another one, and its value."""
    factor = factor_of(value)
    return (key, value) if factor is None else ({"lr": "lr_mult", "weight_decay": "decay_mult"}[key], factor)
