"""`paramwise_cfg` of MMEngine as parameter groups.

MMEngine asks, for each parameter, for the longest of `custom_keys` that is in its name; then whether it is of a
normalisation, called `bias`, or of one dimension. Patterns of lossreg must not overlap, so that each excludes what an
earlier rule takes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lossreg.conversion.places import Place
from lossreg.groups import options_text
from lossreg.patterns import parse_pattern
from lossreg.spec import frozen_params
from lossreg.values import shown

NORM = "type=_BatchNorm | type=_InstanceNorm | type=GroupNorm | type=LayerNorm"
BIAS = "bias | *.bias"
FLAT = "ndim==1"

_PLAIN_KEY = re.compile(r"[\w.\-]+", re.ASCII)

Options = dict[str, Any]


def read_paramwise(place: Place, rate: float | None, decay: float | None) -> dict[str, str]:
    """The parameter groups that a `paramwise_cfg` says.

    Args:
        place: The `paramwise_cfg`.
        rate: The optimizer's rate; None if the config has none.
        decay: Its weight decay; None if the config has none, which decay factors then are refused for.

    Returns:
        Pattern -> text of options.
    """
    place.take("bypass_duplicate")
    custom = _custom_options(place, rate, decay)
    groups = _by_options(_custom_terms(custom))
    excluded = " | ".join(_glob(key) for key in custom)
    for pattern, options in _ruled(place, rate, decay):
        groups[f"({pattern}) & !({excluded})" if excluded else pattern] = options
    place.leave_out_rest("lossreg has no pattern for it")
    return {parse_pattern(pattern).text: options_text(frozen_params(options)) for pattern, options in groups.items()}


def _custom_options(place: Place, rate: float | None, decay: float | None) -> dict[str, Options]:
    """Key of `custom_keys` -> options, in the order in which MMEngine tries them."""
    inner = place.inner("custom_keys")
    if inner is None:
        return {}
    options: dict[str, Options] = {}
    for key in sorted(sorted(map(str, inner.table)), key=len, reverse=True):
        one = inner.inner(key)
        if one is None:
            continue
        if not _PLAIN_KEY.fullmatch(key):
            inner.leave_out(key, "it has a sign that no pattern of lossreg can have")
            continue
        own = _factor(one, "lr_mult", "lr", rate) | _factor(one, "decay_mult", "weight_decay", decay)
        if one.get("requires_grad", bool) is False:
            one.leave_out("requires_grad", f"lossreg freezes parameters by a setting: freeze = '*{key}*'")
        for name, value in one.rest().items():
            if isinstance(value, bool | int | float | str):
                own[name] = value
            else:
                one.leave_out(name, f"{shown(value)} is no value of an option of an optimizer")
        options[key] = own
    return options


def _factor(place: Place, key: str, option: str, base: float | None) -> Options:
    """An option that is a factor of the optimizer's own: nothing for 1, and 0 for 0."""
    value = place.get(key, int, float)
    if value is None or value == 1:
        return {}
    if base is None:
        place.leave_out(key, f"the optimizer has no {option} that it could be a factor of; MMEngine refuses that")
        return {}
    return {option: 0 if value == 0 else f"x{value!r}"}


def _custom_terms(custom: Mapping[str, Options]) -> list[tuple[str, Options]]:
    """A pattern for each key, without what an earlier key with other options takes."""
    terms = []
    before: list[tuple[str, Options]] = []
    for key, options in custom.items():
        earlier = [_glob(one) for one, other in before if other != options]
        if options:
            terms.append((f"({_glob(key)}) & !({' | '.join(earlier)})" if earlier else _glob(key), options))
        before.append((key, options))
    return terms


def _by_options(terms: list[tuple[str, Options]]) -> dict[str, Options]:
    """Patterns with the same options as one."""
    joined: list[tuple[list[str], Options]] = []
    for pattern, options in terms:
        same = next((patterns for patterns, other in joined if other == options), None)
        if same is None:
            joined.append(([pattern], options))
        else:
            same.append(pattern)
    return {
        " | ".join(f"({one})" if "&" in one and len(patterns) > 1 else one for one in patterns): options
        for patterns, options in joined
    }


def _glob(key: str) -> str:
    """What matches names that a key is in; a parameter of the model itself has a dot before its name there."""
    own = key[1:]
    return f"*{key}* | {own}* & !*.*" if key.startswith(".") and own and "." not in own else f"*{key}*"


def _ruled(place: Place, rate: float | None, decay: float | None) -> list[tuple[str, Options]]:
    """The groups of the rules for normalisations, biases and parameters of one dimension."""
    lr = _factor(place, "bias_lr_mult", "lr", rate)
    decays: dict[str, Options | None] = {}
    for word in ("norm", "bias", "flat"):
        key = f"{word}_decay_mult"
        written = place.get(key, int, float) is not None and decay is not None
        own = _factor(place, key, "weight_decay", decay)
        decays[word] = own if written else None

    def of(*words: str) -> Options:
        return next((found for word in words if (found := decays[word]) is not None), {})

    kinds = {
        "norm bias": of("norm", "bias", "flat"),
        "norm": of("norm", "flat"),
        "bias": {**lr, **of("bias", "flat")},
        "flat": of("flat"),
    }
    groups: list[tuple[str, Options]] = []
    for options in kinds.values():
        if options and all(options != other for _, other in groups):
            groups.append((_pattern({kind for kind, one in kinds.items() if one == options}), options))
    return groups


def _pattern(kinds: set[str]) -> str:
    """A pattern of some of the four kinds of parameters, in few words."""
    terms = []
    if {"norm bias", "norm"} <= kinds:
        terms.append(NORM)
    elif "norm" in kinds:
        terms.append(f"({NORM}) & !({BIAS})")
    if {"norm bias", "bias"} <= kinds:
        terms.append(BIAS)
    elif "bias" in kinds:
        terms.append(f"({BIAS}) & !({NORM})")
    if "norm bias" in kinds and not {"norm", "bias"} & kinds:
        terms.append(f"({BIAS}) & ({NORM})")
    if "flat" in kinds:
        terms.append(FLAT if kinds >= {"norm", "bias", "norm bias"} else f"{FLAT} & !({NORM} | {BIAS})")
    return " | ".join(f"({one})" if "&" in one and len(terms) > 1 else one for one in terms)
