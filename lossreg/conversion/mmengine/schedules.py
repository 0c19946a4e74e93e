"""`param_scheduler` of MMEngine: a list of schedulers, each with a begin and an end, as one schedule of lossreg."""

from __future__ import annotations

import itertools
import re
from typing import Any

from lossreg.conversion.mmengine.entries import Facts, LeftOutError, read_windows
from lossreg.conversion.mmengine.windows import Amount, Window, number
from lossreg.conversion.result import Draft
from lossreg.errors import LossregError
from lossreg.expression import MAX_LENGTH, Expression
from lossreg.spec import ComponentSpec


def read_schedule(entries: Any, facts: Facts, draft: Draft, path: str = "param_scheduler") -> None:
    """Sets the settings `scheduler` and `scheduler_interval`, or says why not.

    Args:
        entries: What `param_scheduler` is.
        facts: Of the rest of the config.
        draft: Where they are set.
        path: Where it stands.
    """
    given = list(entries) if isinstance(entries, list | tuple) else [entries]
    try:
        windows = [
            window for place, one in enumerate(given) for window in read_windows(one, f"{path}[{place}]", facts, draft)
        ]
        windows = [one for one in windows if not one.changes_nothing and not _is_after(one, facts)]
        if any(one.kind == "plateau" and one.counts != "epoch" for one in windows):
            raise LeftOutError(f"{path}: ReduceOnPlateauLR steps after a validation, which lossreg has for each epoch")
        if windows:
            spec, interval = _combined(windows, facts, draft)
            draft.set("scheduler", spec)
            if interval is not None:
                draft.set("scheduler_interval", interval)
    except LeftOutError as error:
        draft.leave_out(f"{error}; no scheduler is set")


def _combined(windows: list[Window], facts: Facts, draft: Draft) -> tuple[ComponentSpec, str | None]:
    """One schedule that does what several do together, and what it counts, where that has to be said."""
    counts = {one.counts for one in windows}
    by_steps = "iteration" in counts
    spec = None
    if len(counts) == 1 and all(one.is_fixed for one in windows) and not (by_steps and facts.accumulate > 1):
        spec = _named(windows, facts, draft)
    if spec is None:
        spec = _expression(windows, by_steps, facts, draft)
    counts_steps = any(one.kind == "one_cycle" for one in windows)
    return spec, "step" if by_steps else "epoch" if counts_steps else None


def _named(windows: list[Window], facts: Facts, draft: Draft) -> ComponentSpec | None:
    """The schedule by the names of its parts; None where they do not do the same together."""
    if len(windows) > 1 and any(one.kind == "one_cycle" for one in windows):
        raise LeftOutError("param_scheduler: OneCycleLR sets the rate, whatever the schedulers beside it make of it")
    specs = [one.spec() for one in windows]
    if any(spec is None for spec in specs):
        return None
    whole = [spec for spec in specs if spec is not None]
    starts = [one.begin.fixed for one in windows]
    follows = all(one.comes_back for one in windows[:-1]) and all(
        one.end.fixed - 1 <= later.begin.fixed for one, later in itertools.pairwise(windows)
    )
    if len(whole) > 1 and not any(starts) and not any(one.kind == "plateau" for one in windows):
        return ComponentSpec("chained", nested=tuple(whole))
    if not follows or any(start != int(start) for start in starts):
        return None
    if windows[0].kind == "one_cycle" and facts.has_rates:
        raise LeftOutError(f"{windows[0].path}: OneCycleLR gives all parameters one rate, whatever their groups have")
    whole = [_without_span(spec, one, facts, draft) for spec, one in zip(whole, windows, strict=True)]
    if starts[0]:
        whole.insert(0, ComponentSpec("constant_lr", {"factor": 1.0}))
        starts.insert(0, 0.0)
    if len(whole) == 1:
        return whole[0]
    return ComponentSpec("sequential_lr", {"milestones": [int(start) for start in starts[1:]]}, tuple(whole))


def _without_span(spec: ComponentSpec, window: Window, facts: Facts, draft: Draft) -> ComponentSpec:
    """A cosine whose length is what is left of the run has that length in lossreg by itself."""
    params = dict(spec.params)
    if facts.epochs is None or window.counts != "epoch" or params.get("T_max") != facts.epochs - window.begin.fixed:
        return spec
    draft.note(f"{window.path}: T_max={params.pop('T_max')} is what is left of the run, which is what lossreg takes")
    return ComponentSpec(spec.name, params)


def _expression(windows: list[Window], by_steps: bool, facts: Facts, draft: Draft) -> ComponentSpec:
    """The schedule as one expression of epoch and step."""
    factors = []
    for place, one in enumerate(windows):
        clock = "epoch"
        if one.counts == "iteration":
            more = facts.accumulate
            clock = "step" if more == 1 else f"({more}*step + {more - 1})"
        text = one.expression(clock, facts.accumulate)
        if text is None:
            raise LeftOutError(f"{one.path}: lossreg has neither a schedule nor an expression that equals it")
        _check_floor(place, windows, facts, draft)
        factors.append(text)
    text = " * ".join(factors)
    text = text[1:-1] if len(factors) == 1 and text.startswith("(") and _is_one_pair(text) else text
    text = text if len(text) <= MAX_LENGTH else re.sub(r" ([-+*]|[<>]=?) |(?<=,) ", r"\1", text)
    try:
        Expression(text)
    except LossregError as error:
        raise LeftOutError(f"param_scheduler: {error.message}") from None
    if by_steps and facts.accumulate > 1:
        draft.note(
            f"param_scheduler: it counts iterations, of which lossreg makes steps of {facts.accumulate} each; a step "
            "has the rate of its last iteration"
        )
    return ComponentSpec("lambda_lr", {"lr_lambda": text})


def _check_floor(place: int, windows: list[Window], facts: Facts, draft: Draft) -> None:
    """Checks that a window is a factor: one that falls to a rate, or rises again, is one only after all others."""
    one = windows[place]
    rises = one.kind == "cosine" and not one.last.surely_at_most(one.params["T_max"])
    if not one.floor and not rises:
        return
    for other in windows[:place] + windows[place + 1 :]:
        ended = _at_most(other, other.end.less(1), one)
        if not other.comes_back or not _at_most(other, other.begin, one) or ended is False:
            raise LeftOutError(
                f"{one.path}: with eta_min, or rising again after T_max, it has an equal in lossreg alone, or after "
                f"schedules that end at the optimizer's rate, which {other.path} is not"
            )
        if ended is None:
            draft.note(f"{one.path}: it is taken to begin after {other.path} has ended, which depends on the data")
    if one.floor and "eta_min" in one.params and facts.is_default:
        draft.leave_out(
            f"{one.path}: eta_min={number(one.params['eta_min'])} is {number(one.floor)} of {number(facts.rate or 0)}, "
            "which the optimizer has by default, since its own lr is not read: with another lr, the expression needs "
            "another part"
        )
    if one.floor and "eta_min" in one.params and facts.has_rates:
        draft.note(
            f"{one.path}: eta_min is for the optimizer's rate; groups with a rate of their own end in proportion"
        )


def _at_most(other: Window, amount: Amount, one: Window) -> bool | None:
    """Whether what another window counts is at most the begin of one; None if that depends on the data."""
    if other.counts == one.counts and amount.surely_at_most(one.begin):
        return True
    mine, theirs = _in_epochs(one.begin, one.counts), _in_epochs(amount, other.counts)
    if mine is not None and theirs is not None:
        return theirs <= mine
    return False if mine == 0 or other.counts == one.counts == "epoch" else None


def _in_epochs(amount: Amount, counts: str) -> float | None:
    """A number of epochs; None for iterations, of which it is not known how many an epoch has."""
    if counts == "epoch":
        return amount.fixed
    return amount.epochs if amount.fixed <= 0 else None


def _is_one_pair(text: str) -> bool:
    """Whether the first parenthesis of a text is closed by its last."""
    depth = 0
    for place, sign in enumerate(text):
        depth += (sign == "(") - (sign == ")")
        if depth == 0:
            return place == len(text) - 1
    return False


def _is_after(window: Window, facts: Facts) -> bool:
    """Whether a window begins after the training."""
    if facts.epochs is not None:
        begin = window.begin.epochs if window.counts == "iteration" else window.begin.fixed
        return begin >= facts.epochs
    return facts.iterations is not None and window.begin.epochs == 0 and window.begin.fixed >= facts.iterations
