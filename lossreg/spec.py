"""Specs of components: a name with parameters. Immutable, hashable, one canonical text."""

from __future__ import annotations

import ast
import functools
import keyword
import math
import re
import warnings
from collections.abc import Mapping
from typing import Any, TypeAlias

import attrs

from lossreg.errors import SpecError
from lossreg.names import normalize

MAX_LENGTH = 10_000  # characters of a spec text
MAX_DEPTH = 100  # levels of syntax; no spec that a person writes goes beyond these two
MAX_BITS = 4096  # of a whole number; Python writes no number of many more in decimals

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | ComponentSpec | None"

_CALL = re.compile(r"\s*([A-Za-z_][\w.\-]*)\s*(\(.*\))?\s*", re.ASCII | re.DOTALL)


def _not_a_spec(text: str, why: str) -> SpecError:
    shown = text if len(text) <= 80 else f"{text[:77]}..."
    return SpecError(
        f"{shown!r} is not a spec{why and f': {why}'}; write name or name(key=value, ...), such as dice(smooth=1)",
        text=text,
    )


class _NaNError(SpecError):
    """NaN was written."""


def _spec_name(name: str) -> str:
    normal = normalize(name)
    parts = normal.split(".")
    if len(parts) > 2 or not all(map(_is_word, parts)) or normal in ("inf", "nan"):
        raise _not_a_spec(name, f"{name!r} is not a name")
    return normal


def _is_word(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)


def frozen_params(params: Mapping[str, Any] | tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Value], ...]:
    """Parameters as pairs sorted by key, lists as tuples.

    Raises:
        SpecError: If a key is not a name, or a value has no literal form.
    """
    items = dict(params)
    for key in items:
        if not isinstance(key, str) or not _is_word(key):
            raise SpecError(f"{key!r} is not the name of a parameter", text=str(key))
    return tuple(sorted((key, _frozen(value, key)) for key, value in items.items()))


def _frozen(value: object, where: str) -> Value:
    match value:
        case bool() | None | ComponentSpec():
            return value
        case str():
            return str.__str__(value)  # of an enumeration's member, too
        case int():
            if value.bit_length() > MAX_BITS:
                raise SpecError(
                    f"{where} is a whole number of {value.bit_length()} bits; {MAX_BITS} are allowed", text=""
                )
            return int(value)
        case float():
            if math.isnan(value):
                raise _NaNError(f"{where} is NaN, which is not a value of a parameter", text=str(value))
            return float(value)
        case list() | tuple():
            return tuple(_frozen(item, where) for item in value)
    raise SpecError(
        f"{where}={value!r} has no literal form (it is a {type(value).__name__}); "
        "a spec holds numbers, strings, True, False, None, inf, lists and nested specs",
        text=repr(value),
    )


@attrs.frozen(eq=False, repr=False)
class ComponentSpec:
    """A component by name, with parameters: `dice(smooth=1)`.

    Attributes:
        name: A short name or a full id.
        params: The parameters that the user set, as pairs sorted by key; lists are tuples.

    Raises:
        SpecError: If a value has no literal form (an object, NaN).

    Example:
        >>> spec = ComponentSpec.parse("Cross-Entropy(label_smoothing=.1)")
        >>> spec.text
        'cross_entropy(label_smoothing=0.1)'
        >>> spec == ComponentSpec("cross_entropy", {"label_smoothing": 0.1})
        True
    """

    name: str = attrs.field(converter=_spec_name)
    params: tuple[tuple[str, Value], ...] = attrs.field(default=(), converter=frozen_params)
    text: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        arguments = params_text(self.params)
        object.__setattr__(self, "text", f"{self.name}({arguments})" if arguments else self.name)

    @classmethod
    def parse(cls, text: str) -> ComponentSpec:
        """Reads a spec text: `name` or `name(key=literal, ...)`.

        Literals are numbers, strings, True, False, None, inf, lists of literals and nested specs. The text is parsed
        against an allow-list and never evaluated.

        Raises:
            SpecError: If the text is not a spec.
        """
        return _parse_spec(text)

    def with_name(self, name: str) -> ComponentSpec:
        """The same parameters under another name (a full id)."""
        return ComponentSpec(name, self.params)

    def with_params(self, params: Mapping[str, Value]) -> ComponentSpec:
        """The same component with some parameters replaced or added."""
        return ComponentSpec(self.name, {**dict(self.params), **params})

    def __eq__(self, other: object) -> bool:
        # By text, since 1 == 1.0 == True and each builds something else.
        return isinstance(other, ComponentSpec) and self.text == other.text

    def __hash__(self) -> int:
        return hash(self.text)

    def __str__(self) -> str:
        return self.text

    def __repr__(self) -> str:
        return f"ComponentSpec.parse({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return ComponentSpec, (self.name, self.params)


def params_text(params: tuple[tuple[str, Value], ...]) -> str:
    """The canonical text of parameters: `lr=0.1, momentum=0.9`."""
    return ", ".join(f"{key}={value_text(value)}" for key, value in params)


def value_text(value: Value) -> str:
    """The canonical text of a value."""
    match value:
        case ComponentSpec():
            return value.text
        case tuple():
            return f"[{', '.join(map(value_text, value))}]"
        case _:
            return repr(value)  # inf is written inf


@functools.lru_cache(maxsize=1024)
def _parse_spec(text: str) -> ComponentSpec:
    match = _CALL.fullmatch(text) if len(text) <= MAX_LENGTH else None
    if match is None:
        raise _not_a_spec(text, "it is too long" if len(text) > MAX_LENGTH else "")
    name, arguments = match.groups()
    return ComponentSpec(name, _arguments(arguments, text) if arguments else ())


def _parse_expression(source: str, text: str) -> ast.expr:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", SyntaxWarning)  # an escape such as "\d" warns before it is read
            tree = ast.parse(source, mode="eval").body
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        raise _not_a_spec(text, error.msg if isinstance(error, SyntaxError) else str(error)) from None
    level: list[ast.AST] = [tree]
    for _ in range(MAX_DEPTH):
        level = [child for node in level for child in ast.iter_child_nodes(node)]
        if not level:
            return tree
    raise _not_a_spec(text, f"it is nested more than {MAX_DEPTH} levels deep")


def _arguments(source: str, text: str) -> dict[str, Value]:
    call = _parse_expression(f"_{source}", text)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _not_a_spec(text, "")
    if call.args:
        written = _unparsed(call.args[0], text)
        raise _not_a_spec(text, f"{written} stands without a name; write key={written}")
    params: dict[str, Value] = {}
    for argument in call.keywords:
        if argument.arg is None:
            raise _not_a_spec(text, "** is not allowed")
        if argument.arg in params:
            raise _not_a_spec(text, f"{argument.arg} is given twice")
        params[argument.arg] = _value(argument.value, argument.arg, text)
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
            raise _NaNError(f"{text!r}: {key} is NaN, which is not a value of a parameter", text=text)
        case ast.Name() | ast.Attribute() | ast.Call():
            return _parse_spec(_unparsed(node, text))
    raise _not_a_spec(text, f"{key}={_unparsed(node, text)} is not a literal")


def _unparsed(node: ast.expr, text: str) -> str:
    try:
        return ast.unparse(node)
    except ValueError as error:  # a whole number of thousands of digits
        raise _not_a_spec(text, str(error)) from None


def parse_params(text: str) -> tuple[tuple[str, Value], ...]:
    """Reads parameters as they stand between the parentheses of a spec text.

    Raises:
        SpecError: If the text is not `key=literal, ...`.

    Example:
        >>> parse_params("weight_decay=0, lr=.1")
        (('lr', 0.1), ('weight_decay', 0))
    """
    if len(text) > MAX_LENGTH:
        raise _not_a_spec(text, "it is too long")
    return frozen_params(_arguments(f"({text})", text))


def parse_value(text: str) -> Value:
    """Reads the value of one parameter as it stands on a command line: a literal, else the text itself.

    `true`, `false` and `none` are read in any case. A bare word is text, not a nested spec.

    Raises:
        SpecError: If the value is NaN.

    Example:
        >>> [parse_value(text) for text in ("1e-3", "true", "[1, 2]", "epoch // 2", "sum")]
        [0.001, True, (1, 2), 'epoch // 2', 'sum']
    """
    words: dict[str, Value] = {"true": True, "false": False, "none": None}
    word = text.strip().lower()
    if word in words:
        return words[word]
    if len(text) > MAX_LENGTH:
        return text
    try:
        value = _frozen(_value(_parse_expression(text.strip(), text), "value", text), "value")
    except _NaNError:
        raise
    except SpecError:
        return text
    return text if isinstance(value, ComponentSpec) and not value.params and "(" not in text else value
