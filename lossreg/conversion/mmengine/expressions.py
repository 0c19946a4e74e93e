"""The schedulers of MMEngine that an expression of `lambda_lr` is made of: what `windows` does, the other way round."""

from __future__ import annotations

import ast
import itertools
from typing import Any

import attrs

from lossreg.conversion.expression_shapes import first_fitted, fitted, number_in, parsed, same, terms
from lossreg.conversion.mmengine.entries import Facts
from lossreg.conversion.mmengine.schedules import read_schedule
from lossreg.conversion.mmengine.windows import Amount
from lossreg.conversion.result import Draft
from lossreg.errors import ConfigError
from lossreg.spec import ComponentSpec

_LINEAR = (
    "START + RISE * min(1, SINCE / LAST)", "START - RISE * min(1, SINCE / LAST)", "START + min(1, SINCE / LAST)",
)  # fmt: skip
_FALL = "(1 - min(1, HELD / LAST))"
_POWERS = tuple(f"{above}{_FALL}{power}" for above in ("", "FLOOR + ABOVE * ") for power in ("", " ** POWER"))
_DIGITS = (6, 9, 12, 15)  # of a floor, which is written as short as it is read again


class _UnknownError(Exception):
    """An expression is not made of schedulers of MMEngine."""


@attrs.frozen
class _Clock:
    """What a factor of an expression counts.

    Attributes:
        node: What counts in it.
        by_epoch: Whether that is epochs.
        accumulate: Iterations of a step.
    """

    node: ast.expr
    by_epoch: bool
    accumulate: int

    def amount(self, node: ast.expr) -> Amount:
        """A number of epochs or iterations, some of which may be counted in epochs."""
        found = Amount(0)
        for one, sign in _signed(node):
            holes = first_fitted(("floor(TIMES * steps_per_epoch)", "TIMES * steps_per_epoch"), one)
            times = None if holes is None else number_in(holes["TIMES"])
            number = number_in(one)
            if isinstance(one, ast.Name) and one.id == "steps_per_epoch":
                times = 1.0
            if times is not None:
                found += Amount.of_epochs(sign * times / self.accumulate)
            elif number is not None:
                found += Amount(sign * number)
            else:
                raise _UnknownError
        return found

    def begin(self, since: ast.expr) -> Amount:
        """When a time begins that is the clock itself, or what has passed since a number."""
        if same(since, self.node):
            return Amount(0)
        holes = fitted("CLOCK - BEGIN", since)
        if holes is None or not same(holes["CLOCK"], self.node):
            raise _UnknownError
        return self.amount(holes["BEGIN"])

    def held(self, node: ast.expr) -> tuple[Amount, Amount | None]:
        """When a time begins that does not go below 0, and when it stands still: after how much, if it does."""
        inner = fitted("max(0, TIME)", node)
        node = node if inner is None else inner["TIME"]
        bounded = fitted("min(TIME, LAST)", node)
        if bounded is None:
            return self.begin(node), None
        return self.begin(bounded["TIME"]), self.amount(bounded["LAST"])


@attrs.frozen
class _Found:
    """A scheduler that a factor is.

    Attributes:
        params: Its type and numbers.
        begin: When it begins.
        end: Before what it ends; None for the end of the training.
    """

    params: dict[str, Any]
    begin: Amount
    end: Amount | None


def entries_of(text: str, facts: Facts, by_steps: bool) -> list[dict[str, Any]] | None:
    """The schedulers with which MMEngine has the rates of an expression.

    They are read again, so that they are given where that comes to this same expression, and nowhere else.

    Args:
        text: The expression.
        facts: Of the run, as a config of it has them.
        by_steps: Whether the schedule steps after each step.

    Returns:
        What `param_scheduler` is; None if none have these rates.
    """
    tree = parsed(text)
    if tree is None:
        return None
    for digits, late in itertools.product(_DIGITS, (0, 1)):
        try:
            entries = [_entry(one, facts, digits, late) for one in terms(tree, ast.Mult)]
        except _UnknownError:
            return None
        if _reads_as(tree, entries, facts, by_steps):
            return entries
    return None


def _reads_as(tree: ast.expr, entries: list[dict[str, Any]], facts: Facts, by_steps: bool) -> bool:
    draft = Draft()
    try:
        read_schedule(entries, facts, draft)
    except (ConfigError, ArithmeticError):
        return False
    spec = ComponentSpec.parse(draft.settings.get("scheduler", "none"))
    written = parsed(str(dict(spec.params).get("lr_lambda", "")))
    is_same = written is not None and same(written, tree)
    return is_same and (draft.settings.get("scheduler_interval") == "step") == by_steps


def _entry(factor: ast.expr, facts: Facts, digits: int, late: int) -> dict[str, Any]:
    """A factor as an entry of `param_scheduler`.

    Args:
        factor: The factor.
        facts: Of the run.
        digits: Of a floor.
        late: When milestones are counted from; several schedules from 0 on have another form by their names.

    Raises:
        _UnknownError: If it is none.
    """
    clock = _clock_of(factor, facts.accumulate)
    found = _found(factor, clock)
    if late and "milestones" in found.params:
        later = [one.less(late) for one in found.params["milestones"]]
        found = attrs.evolve(found, params={**found.params, "milestones": later}, begin=Amount(late))
    amounts = [found.begin, *itertools.chain.from_iterable(_listed(value) for value in found.params.values())]
    total = Amount(facts.epochs or 0) if clock.by_epoch else Amount(facts.iterations or 0, facts.epochs or 0)
    end = None if found.end is None or found.end == total else found.end
    amounts += [] if end is None else [end]
    if "floor" in found.params:  # PolyLR has it as a rate alone, and no part of one
        if not facts.rate:
            raise _UnknownError
        found.params["eta_min"] = found.params.pop("floor") * facts.rate
    span = found.params.get("T_max")
    if span is not None and span == (found.end or total) + -found.begin:  # which it is by itself
        del found.params["T_max"]
        amounts.remove(span)
    converted = any(one.epochs for one in amounts if isinstance(one, Amount))
    if converted and any(one.fixed for one in amounts if isinstance(one, Amount)):
        raise _UnknownError  # both at once

    def plain(value: Any) -> Any:
        if isinstance(value, list):
            return [plain(one) for one in value]
        if isinstance(value, Amount):
            value = value.epochs if converted else value.fixed
            return int(value) if value == int(value) else value
        return float(f"{value:.{digits}g}") if isinstance(value, float) else value

    entry = {key: value if key == "start_factor" else plain(value) for key, value in found.params.items()}
    entry |= {"begin": plain(found.begin)} if found.begin != Amount(0) else {}
    entry |= {"end": plain(end)} if end is not None else {}
    return {**entry, "by_epoch": clock.by_epoch or converted, **({"convert_to_iter_based": True} if converted else {})}


def _found(factor: ast.expr, clock: _Clock) -> _Found:
    for read in (_linear, _constant, _poly, _cosine, _falling):
        found = read(factor, clock)
        if found is not None:
            return found
    raise _UnknownError


def _linear(factor: ast.expr, clock: _Clock) -> _Found | None:
    later = fitted("BODY if CLOCK >= BEGIN else 1", factor)
    holes = first_fitted(_LINEAR, factor if later is None else later["BODY"])
    if holes is None:
        return None
    body = factor if later is None else later["BODY"]
    falls = isinstance(body, ast.BinOp) and isinstance(body.op, ast.Sub)
    start, rise = number_in(holes["START"]), number_in(holes["RISE"]) if "RISE" in holes else 1.0
    if start is None or rise is None:
        raise _UnknownError
    begin, stop = clock.begin(holes["SINCE"]), float(f"{start - rise if falls else start + rise:.12g}")
    given = {"type": "LinearLR", "start_factor": start, **({} if stop == 1 else {"end_factor": stop})}
    return _Found(given, begin, begin + clock.amount(holes["LAST"]) + Amount(1))


def _constant(factor: ast.expr, clock: _Clock) -> _Found | None:
    holes = first_fitted(("FACTOR if CLOCK < LAST else 1", "FACTOR if BEGIN <= CLOCK < LAST else 1"), factor)
    value = None if holes is None else number_in(holes["FACTOR"])
    if holes is None or value is None:
        return None
    begin = clock.amount(holes["BEGIN"]) if "BEGIN" in holes else Amount(0)
    return _Found({"type": "ConstantLR", "factor": value}, begin, clock.amount(holes["LAST"]) + Amount(1))


def _poly(factor: ast.expr, clock: _Clock) -> _Found | None:
    holes = first_fitted(_POWERS, factor)
    if holes is None:
        return None
    begin, _ = clock.held(holes["HELD"])
    given = {"type": "PolyLR", "power": number_in(holes["POWER"]) if "POWER" in holes else 1.0}
    if "FLOOR" in holes:
        floor = number_in(holes["FLOOR"])
        if floor is None:
            raise _UnknownError
        given["floor"] = floor
    return _Found(given, begin, begin + clock.amount(holes["LAST"]) + Amount(1))


def _cosine(factor: ast.expr, clock: _Clock) -> _Found | None:
    holes = fitted("MIDDLE + HALF * cos(pi * HELD / SPAN)", factor)
    middle = None if holes is None else number_in(holes["MIDDLE"])
    if holes is None or middle is None:
        return None
    begin, last = clock.held(holes["HELD"])
    given: dict[str, Any] = {"type": "CosineAnnealingLR", "T_max": clock.amount(holes["SPAN"])}
    if middle != 0.5:
        given["eta_min_ratio"] = 2 * middle - 1
    return _Found(given, begin, None if last is None else begin + last + Amount(1))


def _falling(factor: ast.expr, clock: _Clock) -> _Found | None:
    """A power of gamma: with steps of some length, with milestones, or in each epoch."""
    steps, power = fitted("GAMMA ** (HELD // SIZE)", factor), fitted("GAMMA ** HELD", factor)
    holes = steps or power
    gamma = None if holes is None else number_in(holes["GAMMA"])
    if holes is None or gamma is None:
        return None
    passed = [fitted("CLOCK >= WHEN", one) for one in terms(holes["HELD"], ast.Add)]
    if steps is None and passed[0] is not None:
        whens = [clock.amount(one["WHEN"]) for one in passed if one is not None]
        return _Found({"type": "MultiStepLR", "milestones": whens, "gamma": gamma}, Amount(0), None)
    begin, last = clock.held(holes["HELD"])
    kind = {"type": "StepLR", "step_size": clock.amount(holes["SIZE"])} if steps else {"type": "ExponentialLR"}
    return _Found({**kind, "gamma": gamma}, begin, None if last is None else begin + last + Amount(1))


def _clock_of(factor: ast.expr, accumulate: int) -> _Clock:
    """What a factor counts: epochs, steps, or with accumulation the last iteration of a step."""
    words = {node.id for node in ast.walk(factor) if isinstance(node, ast.Name)}
    if ("epoch" in words) == ("step" in words):
        raise _UnknownError
    by_epoch = "epoch" in words
    text = "epoch" if by_epoch else "step" if accumulate == 1 else f"{accumulate} * step + {accumulate - 1}"
    node = parsed(text)
    if node is None:
        raise _UnknownError
    return _Clock(node, by_epoch, accumulate)


def _signed(node: ast.expr, sign: int = 1) -> list[tuple[ast.expr, int]]:
    """The terms of a sum with their signs."""
    match node:
        case ast.BinOp(left=left, op=ast.Add() | ast.Sub() as op, right=right):
            return [*_signed(left, sign), *_signed(right, sign if isinstance(op, ast.Add) else -sign)]
        case ast.UnaryOp(op=ast.USub(), operand=operand):
            return _signed(operand, -sign)
    return [(node, sign)]


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else [value]
