"""A million expressions, and those by which other evaluators were left: a number, or the one named error."""

from __future__ import annotations

import ast
import gc
from collections.abc import Callable
from typing import Any

import pytest

from lossreg.errors import ExpressionError
from lossreg.expression import Expression
from tests.faults.campaign import Campaign
from tests.faults.escapes import ESCAPES
from tests.faults.expressions import LIMIT, VALUES, expressions, heard, seconds, why_wrong

ALL_ESCAPES = tuple(text for texts in ESCAPES.values() for text in texts)


def is_slow(text: str) -> bool:
    """Whether it takes longer than the limit, and again, twice."""
    return all(seconds(text) > LIMIT for _ in range(3))


def test_generated_expressions(campaign: Campaign) -> None:
    """Each is a float, the one that Python computes, or an ExpressionError of one line, within 10 ms."""
    gc.collect()
    for text in expressions(campaign.random, campaign.of(20_000, 1_000_000), ALL_ESCAPES):
        with heard() as events:
            took = seconds(text)
        assert not events, (text, events)
        assert took <= LIMIT or not is_slow(text), (text, took)
        wrong = why_wrong(text)
        assert wrong is None, (text, wrong)
        campaign.count("expressions")
        campaign.count("with a value", _has_value(text))


def _has_value(text: str) -> bool:
    try:
        made = Expression(text)
        made({name: VALUES[name] for name in made.names})
    except ExpressionError:
        return False
    return True


@pytest.mark.parametrize("text", ALL_ESCAPES)
def test_an_escape(text: str) -> None:
    """It is refused by the one named error, or is arithmetic; nothing is imported or opened, or takes long."""
    with heard() as events:
        took = seconds(text)
    assert not events
    assert took <= LIMIT or not is_slow(text)
    assert why_wrong(text) is None


@pytest.mark.parametrize("source", list(ESCAPES)[:9])
def test_no_escape_of_other_evaluators_is_an_expression(source: str) -> None:
    """None of them is read, except for powers, which are too large to have a value."""
    for text in ESCAPES[source]:
        with pytest.raises(ExpressionError):
            Expression(text)({})


class _Careless:
    """What evaluates as Python does."""

    names: tuple[str, ...] = ()

    def __init__(self, text: str) -> None:
        self._code = compile(text, "<careless>", "eval")

    def __call__(self, _: Any) -> Any:
        return eval(self._code, {"epoch": 1, "max": max})  # noqa: S307  # what must be found


def _named(text: str) -> Any:
    try:
        ast.parse(text, mode="eval")
        return Expression(text)
    except SyntaxError as error:
        raise ExpressionError(f"{text}\n{error}") from error


@pytest.mark.parametrize(
    ("text", "make"),
    [("max.__self__", _Careless), ("(", _Careless), ("'a'", _Careless), ("(", _named), ("1 @ 2", _Careless)],
)
def test_control_of_generated_expressions(text: str, make: Callable[[str], Any]) -> None:
    """An evaluator that reaches an attribute, or raises something else, is found."""
    assert why_wrong(text, make) is not None


def test_control_of_what_is_heard() -> None:
    """An evaluator that imports, and one that computes for long, are found."""
    with heard() as events:
        seconds("__import__('antigravity2')", _Careless)
    assert "import" in events
    assert seconds("sum(range(3_000_000))", _Careless) > LIMIT
