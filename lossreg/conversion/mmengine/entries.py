"""The entries of `param_scheduler` of MMEngine, read."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.conversion.followed import followed
from lossreg.conversion.mmengine.windows import FACTOR, GAMMA, Amount, Window
from lossreg.conversion.places import Place
from lossreg.conversion.result import Draft
from lossreg.conversion.unread import Unread
from lossreg.values import shown

#: Class of MMEngine -> kind of a window; each is also there with `Param` before `Scheduler` in place of `LR`.
KINDS: Mapping[str, str] = {
    "LinearLR": "linear",
    "ConstantLR": "constant",
    "CosineAnnealingLR": "cosine",
    "StepLR": "step",
    "MultiStepLR": "multi_step",
    "ExponentialLR": "exponential",
    "PolyLR": "poly",
    "OneCycleLR": "one_cycle",
    "ReduceOnPlateauLR": "plateau",
}
_NEVER = 1e9  # MMEngine's word for an end that does not come
_RULES = {"less": "min", "greater": "max"}


@attrs.frozen
class Facts:
    """What schedules depend on in the rest of a config.

    Attributes:
        epochs: Of the training; None if it counts iterations.
        iterations: Of the training; None if it counts epochs.
        accumulate: Iterations of a step.
        rate: The optimizer's own; None if it is not known.
        is_default: Whether that is the class's default, in the place of one that the config has and that is not read.
        has_rates: Whether parameter groups have rates of their own.
    """

    epochs: int | None
    iterations: int | None
    accumulate: int
    rate: float | None
    has_rates: bool
    is_default: bool = False


class LeftOutError(Exception):
    """What keeps the schedule from being carried over."""


def read_windows(entry: Any, path: str, facts: Facts, draft: Draft) -> list[Window]:
    """The window of one scheduler; none where it moves something else than the rate."""
    if not isinstance(entry, Mapping):
        raise LeftOutError(str(entry) if isinstance(entry, Unread) else f"{path}: {shown(entry)} is not a scheduler")
    place = Place(entry, path, draft)
    written = place.get("type", str)
    if written is None:
        raise LeftOutError(f"{path}: it has no type")
    name = written.rpartition(".")[2].replace("ParamScheduler", "LR")
    if name.endswith("Momentum"):
        draft.leave_out(f"{path}: {written} moves the momentum, which no schedule of lossreg does by itself")
        return []
    if name not in KINDS or place.get("param_name", str) not in (None, "lr"):
        raise LeftOutError(f"{path}: lossreg has nothing that equals {written}")
    counts = "epoch" if _flag(place, "by_epoch", default=True) else "iteration"
    converted = _flag(place, "convert_to_iter_based", default=False)
    place.take("verbose", "last_step")
    try:
        window = _window(place, KINDS[name], counts, converted, facts)
    except KeyError as error:
        raise LeftOutError(f"{path}: {written} has no {error.args[0]}") from None
    unread = sorted(place.rest())
    if unread:
        raise LeftOutError(f"{path}: {written} with {', '.join(unread)} is not known")
    return [window]


def _window(place: Place, kind: str, counts: str, converted: bool, facts: Facts) -> Window:
    """The window of a scheduler of a kind that is known."""
    if counts == "epoch" and facts.epochs is None and facts.iterations is not None:
        raise LeftOutError(f"{place.path} counts epochs, of which a training by max_iters has none")

    def amount(value: float) -> Amount:
        return Amount.of_epochs(value) if converted else Amount(value)

    begin, ending = _number(place, "begin", 0.0), _number(place, "end", None)
    total = _total(counts, converted, facts)
    without = kind in ("step", "multi_step", "exponential", "one_cycle", "plateau") or place.table.get("T_max")
    if ending is None and total is None and not without:
        raise LeftOutError(f"{place.path} ends with the training, of which the config has no length")
    end = total if ending is None and total is not None else amount(_NEVER if ending is None else ending)
    to_the_end = ending is None or ending >= _NEVER or (total is not None and total.surely_at_most(end))
    if end.surely_at_most(amount(begin)):
        raise LeftOutError(f"{place.path}: its end is not after its begin, which MMEngine refuses")
    params = _params(place, kind, amount, end + -amount(begin), facts)
    if kind == "one_cycle" and converted and params.pop("total_steps") != facts.epochs:
        raise LeftOutError(f"{place.path}: a cycle that counts steps is that of the whole run in lossreg")
    steps = "iteration" if converted else counts
    return Window(place.path, kind, steps, amount(begin), end, to_the_end, params)


def _total(counts: str, converted: bool, facts: Facts) -> Amount | None:
    """The length of the training in what a scheduler counts."""
    if counts == "epoch":
        return None if facts.epochs is None else Amount(0, facts.epochs) if converted else Amount(facts.epochs)
    if facts.iterations is not None:
        return Amount(facts.iterations)
    return None if facts.epochs is None else Amount(0, facts.epochs)


def _params(place: Place, kind: str, amount: Any, length: Amount, facts: Facts) -> dict[str, Any]:
    """The numbers of a kind of scheduler, by lossreg's names."""
    match kind:
        case "linear":
            return {
                "start_factor": _number(place, "start_factor", FACTOR),
                "end_factor": _number(place, "end_factor", 1.0),
            }
        case "constant":
            return {"factor": _number(place, "factor", FACTOR)}
        case "step":
            return {"step_size": amount(_needed(place, "step_size")), "gamma": _number(place, "gamma", GAMMA)}
        case "multi_step":
            milestones = place.get("milestones", list, tuple)
            if milestones is None or not all(_is_number(one) for one in milestones):
                raise KeyError("milestones")
            return {"milestones": tuple(map(amount, milestones)), "gamma": _number(place, "gamma", GAMMA)}
        case "exponential":
            return {"gamma": _needed(place, "gamma")}
        case "cosine":
            span = _number(place, "T_max", None)
            return {"T_max": amount(span) if span else length, **_lowest(place, facts)}
        case "poly":
            return {"power": _number(place, "power", 1.0), **_lowest(place, facts)}
        case "one_cycle":
            return _one_cycle(place)
    return _plateau(place)


def _lowest(place: Place, facts: Facts) -> dict[str, float]:
    """The lowest rate: as a number, and as a part of the base rate."""
    lowest, ratio = _number(place, "eta_min", None), _number(place, "eta_min_ratio", None)
    if ratio is not None:
        is_part = facts.has_rates or facts.is_default or not facts.rate
        return {"floor": ratio} if is_part or not facts.rate else {"floor": ratio, "eta_min": ratio * facts.rate}
    if not lowest:
        return {"eta_min": 0.0}
    if not facts.rate:
        raise LeftOutError(f"{place.path}: eta_min is a rate, and that of the optimizer is not known")
    return {"floor": lowest / facts.rate, "eta_min": lowest}


def _one_cycle(place: Place) -> dict[str, Any]:
    params = {"max_lr": _needed(place, "eta_max"), "cycle_momentum": False}
    params["total_steps"] = int(_needed(place, "total_steps"))
    for key in ("pct_start", "div_factor", "final_div_factor"):
        value = _number(place, key, None)
        params |= {} if value is None else {key: value}
    strategy, three = place.get("anneal_strategy", str), place.get("three_phase", bool)
    return params | ({"anneal_strategy": strategy} if strategy else {}) | ({"three_phase": True} if three else {})


def _plateau(place: Place) -> dict[str, Any]:
    monitor = place.get("monitor", str) or "loss"
    rule = place.get("rule", str)
    if rule is not None and rule not in _RULES:
        raise LeftOutError(f"{place.at('rule')}: it is less or greater, not {shown(rule)}")
    params = followed(monitor, _RULES.get(str(rule), "min"), place.draft, place.at("monitor"))
    for theirs, ours in (("factor", "factor"), ("threshold", "threshold"), ("min_value", "min_lr"), ("eps", "eps")):
        value = _number(place, theirs, None)
        params |= {} if value is None else {ours: value}
    for key in ("patience", "cooldown"):
        value = _number(place, key, None)
        params |= {} if value is None else {key: int(value)}
    threshold_rule = place.get("threshold_rule", str)
    return params | ({"threshold_mode": threshold_rule} if threshold_rule else {})


def _flag(place: Place, key: str, *, default: bool) -> bool:
    value = place.get(key, bool)
    return default if value is None else bool(value)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _number(place: Place, key: str, default: Any) -> Any:
    value = place.get(key, int, float)
    if place.table.get(key) is not None and not _is_number(value):
        raise LeftOutError(f"{place.at(key)}: it is not a number")
    return default if value is None else value


def _needed(place: Place, key: str) -> Any:
    value = _number(place, key, None)
    if value is None:
        raise KeyError(key)
    return value
