"""Arithmetic of literals, of a size that is looked at before it is made."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from typing import Any

MOST_ITEMS = 10_000  # of a list, or characters of a text, that an operator makes
MOST_BITS = 4096  # of a whole number

_NUMBERS: Mapping[type[ast.operator], Callable[[Any, Any], Any]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
    ast.Pow: operator.pow,
}


class NotLiteralError(Exception):
    """An expression is no literal."""


def is_number(value: Any) -> bool:
    """Whether arithmetic can be done with a value."""
    return isinstance(value, int | float)


def computed(op: ast.operator, left: Any, right: Any) -> Any:
    """The value of arithmetic, of a size that is looked at before it is made."""
    if is_number(left) and is_number(right):
        if isinstance(op, ast.Pow) and abs(right) * max(1, int(abs(left)).bit_length()) > MOST_BITS:
            raise NotLiteralError
        value = _NUMBERS[type(op)](left, right) if type(op) in _NUMBERS else None
        if not is_number(value) or (isinstance(value, int) and value.bit_length() > MOST_BITS):
            raise NotLiteralError
        return value
    if isinstance(op, ast.Add) and type(left) is type(right) and isinstance(left, list | tuple | str):
        size = len(left) + len(right)
    elif isinstance(op, ast.Mult) and isinstance(left, list | tuple) and isinstance(right, int):
        size = len(left) * right
    else:
        raise NotLiteralError
    if size > MOST_ITEMS:
        raise NotLiteralError
    return _NUMBERS[type(op)](left, right)
