"""Annotations: which values fit, and which builtin types always do."""

from __future__ import annotations

from typing import Any, Literal

import pytest

from lossreg.errors import ParameterError
from lossreg.registry.annotations import MISSING, accepts, plain_types
from lossreg.registry.parameters import Parameter
from tests.table import for_each


@for_each("value", [False, "always", 1])
def test_a_literal_takes_what_it_lists_alone(value: object) -> None:
    """`Literal[True, "auto"]` takes neither False nor another text, nor 1, which equals True."""
    with pytest.raises(ParameterError, match="does not fit"):
        Parameter("fused", Literal[True, "auto"], MISSING).check(value, "sgd")


@for_each("value", [True, "auto"])
def test_a_literal_takes_what_it_lists(value: object) -> None:
    """The listed values pass unchanged."""
    assert Parameter("fused", Literal[True, "auto"], MISSING).check(value, "sgd") is value


@for_each(
    "annotation", [bool, int, float, str, float | None, int | str, Literal[1, "x"], list[int], Any, MISSING, object]
)
@for_each("value", [True, False, 0, -3, 10**30, 0.5, float("inf"), "", "text"])
def test_a_plain_type_is_one_of_which_every_value_fits(annotation: Any, value: object) -> None:
    """Where a type counts as plain, the full check accepts the value, too."""
    assert type(value) not in plain_types(annotation) or accepts(annotation, value)
