"""Spec texts, read: parsed against an allow-list, and never evaluated."""

from __future__ import annotations

import ast
import functools
import math
import re
import string
import warnings
from collections.abc import Mapping
from typing import Any

from lossreg.errors import SpecError
from lossreg.spec import MAX_DEPTH, ComponentSpec, Value, frozen_params, frozen_table, frozen_value
from lossreg.spec_hints import MAX_LENGTH, RANGES, NaNError, RangeError, a_range, expression_of, not_a_spec
from lossreg.values import shortened, shown

#: Words for values that Python spells with a capital; no component can be called so.
WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}

_VALUE = "value"  # what stands alone, of a parameter that is named elsewhere
_CALL = re.compile(r"([A-Za-z_][\w.\-]*)(?:\s*(\(.*\)))?", re.ASCII | re.DOTALL)


@functools.lru_cache(maxsize=1024)
def parse_spec(text: str) -> ComponentSpec:
    """Reads a spec text; see `ComponentSpec.parse`."""
    match = _CALL.fullmatch(text.strip(string.whitespace)) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise not_a_spec(text, "it is too long" if len(text) > MAX_LENGTH else "")
    name, arguments = match.groups()
    if not arguments:
        return _as_written(ComponentSpec(name), name)
    call = _parse_call(arguments, text)
    if name in RANGES and _is_range(call):
        raise a_range(text.strip(), text)
    nested = tuple(_nested(node, arguments, text) for node in call.args)
    params = {key: _value(value, key, text) for key, value in _keywords(call, text).items()}
    return _as_written(ComponentSpec(name, params, nested), name)


def _as_written(spec: ComponentSpec, name: str) -> ComponentSpec:
    object.__setattr__(spec, "written", name.strip())
    return spec


def _parse_expression(source: str, text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # an escape such as "\d" warns before it is read
            tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise not_a_spec(text, error.msg if isinstance(error, SyntaxError) else str(error)) from None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise not_a_spec(text, f"it is nested more than {MAX_DEPTH} levels deep")


def _parse_call(source: str, text: str) -> ast.Call:
    """The arguments of a call without the name that is called, as a call."""
    call = _parse_expression(f"_{source}", text)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise not_a_spec(text, "")
    return call


def _is_range(call: ast.Call) -> bool:
    """Whether what is called with the name of a range has values without names, as no component has."""
    return any(not isinstance(argument, ast.Name | ast.Attribute | ast.Call) for argument in call.args)


def _nested(node: ast.expr, source: str, text: str) -> ComponentSpec:
    """The spec that stands without a name among the arguments `source` of a spec."""
    written = ast.get_source_segment(f"_{source}", node) or _unparsed(node, text)
    expression = expression_of(written)
    is_component = isinstance(node, ast.Name | ast.Attribute | ast.Call) and expression is None
    value = _value(node, "a nested spec", text) if is_component else None
    if isinstance(value, ComponentSpec):
        return value
    key = f"key={written}" if expression is None else f"lr_lambda={expression!r}"
    raise not_a_spec(text, f"{shortened(written)} stands without a name; write {shortened(key)}")


def _keywords(call: ast.Call, text: str) -> dict[str, ast.expr]:
    """The arguments of a call that have a name."""
    params: dict[str, ast.expr] = {}
    for argument in call.keywords:
        if argument.arg is None:
            raise not_a_spec(text, "** is not allowed")
        if argument.arg in params:
            raise not_a_spec(text, f"{argument.arg} is given twice")
        params[argument.arg] = argument.value
    return params


def _value(node: ast.expr, key: str, text: str) -> Value:
    match node:
        case ast.Constant(value=None | bool() | int() | float() | str() as value):
            return value
        case ast.UnaryOp(op=ast.USub() | ast.UAdd() as sign, operand=operand):
            number = _value(operand, key, text)
            if isinstance(number, int | float) and not isinstance(number, bool):
                return -number if isinstance(sign, ast.USub) else number
        case ast.List(elts=items) | ast.Tuple(elts=items):
            return tuple(_value(item, key, text) for item in items)
        case ast.Name(id="inf"):
            return math.inf
        case ast.Name(id=name) if name.lower() == "nan":
            raise NaNError(f"{text!r}: {key} is NaN, which is not a value of a parameter", text=text)
        case ast.Name(id=name) if name.lower() in WORDS:
            return WORDS[name.lower()]
        case ast.Dict(keys=keys, values=values):
            return _table(keys, values, key, text)
        case ast.Call(func=ast.Name(id=name)) if name in RANGES and _is_range(node):
            written = _unparsed(node, text)
            raise a_range(written, text) if key == _VALUE else a_range(f"{key}={written}", text, shown(text))
        case ast.Name() | ast.Attribute() | ast.Call():
            return parse_spec(_unparsed(node, text))
    written = _unparsed(node, text)
    hint = "" if expression_of(written) is None else f"; text is quoted: {key}={expression_of(written)!r}"
    raise not_a_spec(text, f"{key}={shortened(written)} is not a literal{hint}")


def _table(keys: list[ast.expr | None], values: list[ast.expr], key: str, text: str) -> Value:
    rows: dict[Any, Value] = {}
    for row, value in zip(keys, values, strict=True):
        if row is None:
            raise not_a_spec(text, "** is not allowed")
        name = _value(row, key, text)
        if isinstance(name, str | int) and name in rows:
            raise not_a_spec(text, f"{name!r} is given twice")
        if isinstance(name, ComponentSpec):
            raise not_a_spec(text, f"a key of a dictionary is quoted: {name.text!r}")
        rows[name] = _value(value, key, text)
    return frozen_table(rows, key, 0)


def _unparsed(node: ast.expr, text: str) -> str:
    try:
        return ast.unparse(node)
    except ValueError as error:  # a whole number of thousands of digits
        raise not_a_spec(text, str(error)) from None


def parse_params(text: str) -> tuple[tuple[str, Value], ...]:
    """Reads the options of a group: `key=value, ...`, where each value is written as on a command line.

    Raises:
        SpecError: If the text is not `key=literal, ...`.

    Example:
        >>> parse_params("weight_decay=0, lr=.1, nesterov=true")
        (('lr', 0.1), ('nesterov', True), ('weight_decay', 0))
    """
    if len(text) > MAX_LENGTH:
        raise not_a_spec(text, "it is too long")
    source = f"({text})"
    call = _parse_call(source, text)
    if call.args:
        argument = ast.get_source_segment(f"_{source}", call.args[0]) or _unparsed(call.args[0], text)
        raise not_a_spec(text, f"{shortened(argument)} stands without a name; write {shortened(f'key={argument}')}")
    written = {key: ast.get_source_segment(f"_{source}", value) or "" for key, value in _keywords(call, text).items()}
    params = {}
    for key, value in written.items():
        try:
            params[key] = parse_value(value)
        except NaNError:
            raise NaNError(f"{key} is NaN, which is not a value of a parameter", text=text) from None
        except RangeError:
            raise a_range(f"{key}={value}", text) from None
    return frozen_params(params)


def parse_value(text: str) -> Value:
    """Reads the value of one parameter as it stands on a command line: a literal, else the text itself.

    `true`, `false` and `none` are read in any case. A bare word is text, not a nested spec.

    Raises:
        SpecError: If the value is NaN, or a range of a search.

    Example:
        >>> [parse_value(text) for text in ("1e-3", "true", "[1, 2]", "epoch // 2", "sum")]
        [0.001, True, (1, 2), 'epoch // 2', 'sum']
    """
    word = text.strip().lower()
    if word in WORDS:
        return WORDS[word]
    if len(text) > MAX_LENGTH:
        return text
    try:
        value = frozen_value(_value(_parse_expression(text.strip(), text), _VALUE, text), _VALUE)
    except (NaNError, RangeError):
        raise
    except SpecError:
        return text
    return text if isinstance(value, ComponentSpec) and "(" not in text else value
