"""Specs of components: a name with parameters. Immutable, hashable, one canonical text."""

from __future__ import annotations

import ast
import enum
import functools
import keyword
import math
import re
import warnings
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from lossreg.errors import SpecError
from lossreg.names import EXPRESSION_WORDS, normalize
from lossreg.values import decimal_comma_hint, plain, shortened, shown

MAX_LENGTH = 10_000  # characters of a spec text
MAX_DEPTH = 100  # levels of syntax; no spec that a person writes goes beyond these two
MAX_BITS = 4096  # of a whole number; Python writes no number of many more in decimals

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | Table | ComponentSpec | None"

#: Words for values that Python spells with a capital; no component can be called so.
WORDS: Mapping[str, bool | None] = {"true": True, "false": False, "none": None}

_CALL = re.compile(r"\s*([A-Za-z_][\w.\-]*)\s*(\(.*\))?\s*", re.ASCII | re.DOTALL)


_CLASS = re.compile(r"[\w./\\~-]+(\.py|:[A-Za-z_][\w.]*)", re.ASCII)
_COMMA = re.compile(r"=\s*([+-]?\d+,\d+(?:[eE][+-]?\d+)?)\s*(?:,\s*\w+\s*=|\)|$)", re.ASCII)
_LAMBDA = re.compile(r"\s*lambda\s+\w+\s*:\s*(.*)", re.DOTALL)


def _not_a_spec(text: str, why: str) -> SpecError:
    return SpecError(
        f"{shown(text)} is not a spec{why and f': {why}'}; write name or name(key=value, ...), such as dice(smooth=1)"
        f"{_guess(text)}",
        text=text,
        why=why,
    )


def _guess(text: str) -> str:
    """What was probably meant by a text that is not a spec, as the end of a message, or nothing."""
    if len(text) > MAX_LENGTH:
        return ""
    expression = expression_of(text)
    if expression is not None:
        return f". A schedule of the epoch is written lambda_lr(lr_lambda={expression!r})"
    number = _COMMA.search(text)
    return decimal_comma_hint(number[1]) if number else registering_hint(text)


def expression_of(text: str) -> str | None:
    """A text as an expression of `lossreg.expression`, without `lambda epoch:` before it; None if it is something else.

    Example:
        >>> expression_of("lambda epoch: epoch // 2"), expression_of("dice(smooth=1")
        ('epoch // 2', None)
    """
    function = _LAMBDA.fullmatch(text)
    source = (function[1] if function else text).strip()
    names = set(re.findall(r"(?<![\w.'\"])[A-Za-z_]\w*", source))
    known = EXPRESSION_WORDS | {"if", "else", "and", "or", "not"}
    return source if names & {"epoch", "step"} and names <= known else None


def registering_hint(text: str) -> str:
    """How a class in a file gets a name, as the end of a message, where a text is one's path or place; or nothing.

    Example:
        >>> registering_hint("plain.py")
        '. A class of your own gets a name in its file, by @lossreg.models.register("net") above it \
(or losses, optimizers, ...); then -p plain.py loads it'
    """
    if not _CLASS.fullmatch(text.strip()):
        return ""
    file = text.strip().partition(":")[0]
    return (
        '. A class of your own gets a name in its file, by @lossreg.models.register("net") above it '
        f"(or losses, optimizers, ...); then -p {file} loads it"
    )


class _NaNError(SpecError):
    """NaN was written."""


def _spec_name(name: str) -> str:
    if not isinstance(name, str):
        raise SpecError(f"the name of a component is a text, not {shown(name)}", text="")
    normal = normalize(name)
    parts = normal.split(".")
    if len(parts) > 2 or not all(map(_is_word, parts)) or normal in ("inf", "nan"):
        raise _not_a_spec(name, f"{shown(name)} is not a name")
    return normal


def _is_word(text: str) -> bool:
    return text.isascii() and text.isidentifier() and not keyword.iskeyword(text)


def frozen_params(params: Mapping[str, Any] | tuple[tuple[str, Any], ...]) -> tuple[tuple[str, Value], ...]:
    """Parameters as pairs sorted by key, lists as tuples.

    Raises:
        SpecError: If a key is not a name, or a value has no literal form.
    """
    try:
        items = dict(params)
    except (TypeError, ValueError):
        raise SpecError(f"parameters are a mapping from names to values, not {shown(params)}", text="") from None
    for key in items:
        if not isinstance(key, str) or not _is_word(key):
            raise SpecError(f"{shown(key)} is not the name of a parameter", text=str(key))
    return tuple(sorted(((key, _frozen(value, key)) for key, value in items.items()), key=lambda pair: pair[0]))


class Table(Mapping["str | int", Value]):
    """A dictionary as the value of a parameter: `{'a': 1}`. Immutable and hashable; equal by its text.

    Args:
        items: Key and value of each row, in their order.
    """

    def __init__(self, items: tuple[tuple[str | int, Value], ...]) -> None:
        self._items = dict(items)

    def __getitem__(self, key: str | int) -> Value:
        return self._items[key]

    def __iter__(self) -> Iterator[str | int]:
        return iter(self._items)

    def __len__(self) -> int:
        return len(self._items)

    def __eq__(self, other: object) -> bool:
        return repr(self) == repr(other) if isinstance(other, Table) else NotImplemented

    def __hash__(self) -> int:
        return hash(repr(self))

    def __repr__(self) -> str:
        return f"{{{', '.join(f'{key!r}: {value_text(value)}' for key, value in self._items.items())}}}"

    def __reduce__(self) -> tuple[Any, ...]:
        return Table, (tuple(self._items.items()),)


def _frozen(value: object, where: str, depth: int = 0) -> Value:
    if depth > MAX_DEPTH:  # a list may even hold itself
        raise SpecError(f"{where} is nested more than {MAX_DEPTH} levels deep", text="")
    value = _plain(value)
    match value:
        case bool() | None | ComponentSpec() | Table():
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
            return tuple(_frozen(item, where, depth + 1) for item in value)
        case Mapping():
            return _frozen_table(value, where, depth)
    raise SpecError(
        f"{where}={shown(value)} has no literal form (it is a {type(value).__name__}); "
        "a spec holds numbers, strings, True, False, None, inf, lists, dictionaries and nested specs",
        text=shown(value),
    )


def _plain(value: object) -> object:
    """What has a literal form, of what has not one of its own: numpy's numbers, members of an Enum, torch's dtypes."""
    kind = type(value)
    if kind.__module__ == "torch" and kind.__name__ in ("dtype", "device"):
        return str(value)
    if isinstance(value, enum.Enum):
        return value.value
    return plain(value)


def _frozen_table(value: Mapping[Any, object], where: str, depth: int) -> Table:
    for key in value:
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise SpecError(f"{where}: {shown(key)} is a key of a dictionary; a key is text or a whole number", text="")
    rows = tuple((key, _frozen(item, where, depth + 1)) for key, item in value.items())
    for key, item in rows:
        if holds_spec(item):
            raise SpecError(
                f"{where}: a dictionary holds no nested spec, as at {key!r}: {value_text(item)}; text is quoted",
                text="",
            )
    return Table(rows)


def thawed(value: Value) -> Any:
    """A value with its dictionaries as Python's own, which is what a factory takes."""
    match value:
        case Table():
            return {key: thawed(item) for key, item in value.items()}
        case tuple() if any(isinstance(item, Table | tuple) for item in value):
            return tuple(map(thawed, value))
    return value


def _specs(specs: Iterable[ComponentSpec]) -> tuple[ComponentSpec, ...]:
    specs = tuple(specs)
    for spec in specs:
        if not isinstance(spec, ComponentSpec):
            raise SpecError(f"{shown(spec)} is not a spec, and needs the name of a parameter", text=shown(spec))
    return specs


def holds_spec(value: object) -> bool:
    """Whether a value is a nested spec, or a list that holds one."""
    return any(map(holds_spec, value)) if isinstance(value, tuple) else isinstance(value, ComponentSpec)


@attrs.frozen(eq=False, repr=False)
class ComponentSpec:
    """A component by name, with parameters: `dice(smooth=1)`.

    Attributes:
        name: A short name or a full id.
        params: The parameters that the user set, as pairs sorted by key; lists are tuples.
        nested: Specs that stand first, without a name: `warmup(cosine(), length=5)`. Which parameter they are for, only
            the component knows; what is written to disk names it.

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
    nested: tuple[ComponentSpec, ...] = attrs.field(default=(), converter=_specs)
    text: str = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        arguments = params_text(self.params)
        if self.nested:
            arguments = ", ".join(filter(None, (*(spec.text for spec in self.nested), arguments)))
        object.__setattr__(self, "text", f"{self.name}({arguments})" if arguments else self.name)

    @classmethod
    def parse(cls, text: str) -> ComponentSpec:
        """Reads a spec text: `name` or `name(key=literal, ...)`.

        Literals are numbers, strings, True, False, None, inf, lists of literals and nested specs. Nested specs may also
        stand first, without a name. The text is parsed against an allow-list and never evaluated.

        Raises:
            SpecError: If the text is not a spec.
        """
        if not isinstance(text, str):
            raise SpecError(f"a spec is a text such as 'dice(smooth=1)', not {shown(text)}", text="")
        return _parse_spec(text)

    def with_name(self, name: str) -> ComponentSpec:
        """The same parameters under another name (a full id)."""
        return ComponentSpec(name, self.params, self.nested)

    def with_params(self, params: Mapping[str, Value]) -> ComponentSpec:
        """The same component with some parameters replaced or added."""
        return ComponentSpec(self.name, {**dict(self.params), **params}, self.nested)

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
        return ComponentSpec, (self.name, self.params, self.nested)


def params_text(params: tuple[tuple[str, Value], ...]) -> str:
    """The canonical text of parameters: `lr=0.1, momentum=0.9`."""
    return ", ".join(f"{key}={text}" for key, text in texts_of(params).items())


def texts_of(params: tuple[tuple[str, Value], ...]) -> dict[str, str]:
    """Parameter -> the canonical text of its value."""
    return {key: value_text(value) for key, value in params}


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
    if not arguments:
        return ComponentSpec(name)
    call = _parse_call(arguments, text)
    nested = tuple(_nested(node, arguments, text) for node in call.args)
    params = {key: _value(value, key, text) for key, value in _keywords(call, text).items()}
    return ComponentSpec(name, params, nested)


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


def _parse_call(source: str, text: str) -> ast.Call:
    """The arguments of a call without the name that is called, as a call."""
    call = _parse_expression(f"_{source}", text)
    if not isinstance(call, ast.Call) or not isinstance(call.func, ast.Name):
        raise _not_a_spec(text, "")
    return call


def _nested(node: ast.expr, source: str, text: str) -> ComponentSpec:
    """The spec that stands without a name among the arguments `source` of a spec."""
    written = ast.get_source_segment(f"_{source}", node) or _unparsed(node, text)
    expression = expression_of(written)
    is_component = isinstance(node, ast.Name | ast.Attribute | ast.Call) and expression is None
    value = _value(node, "a nested spec", text) if is_component else None
    if isinstance(value, ComponentSpec):
        return value
    key = f"key={written}" if expression is None else f"lr_lambda={expression!r}"
    raise _not_a_spec(text, f"{shortened(written)} stands without a name; write {shortened(key)}")


def _keywords(call: ast.Call, text: str) -> dict[str, ast.expr]:
    """The arguments of a call that have a name."""
    params: dict[str, ast.expr] = {}
    for argument in call.keywords:
        if argument.arg is None:
            raise _not_a_spec(text, "** is not allowed")
        if argument.arg in params:
            raise _not_a_spec(text, f"{argument.arg} is given twice")
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
            raise _NaNError(f"{text!r}: {key} is NaN, which is not a value of a parameter", text=text)
        case ast.Name(id=name) if name.lower() in WORDS:
            return WORDS[name.lower()]
        case ast.Dict(keys=keys, values=values):
            return _table(keys, values, key, text)
        case ast.Name() | ast.Attribute() | ast.Call():
            return _parse_spec(_unparsed(node, text))
    written = _unparsed(node, text)
    hint = "" if expression_of(written) is None else f"; text is quoted: {key}={expression_of(written)!r}"
    raise _not_a_spec(text, f"{key}={shortened(written)} is not a literal{hint}")


def _table(keys: list[ast.expr | None], values: list[ast.expr], key: str, text: str) -> Value:
    rows: dict[Any, Value] = {}
    for row, value in zip(keys, values, strict=True):
        if row is None:
            raise _not_a_spec(text, "** is not allowed")
        name = _value(row, key, text)
        if isinstance(name, str | int) and name in rows:
            raise _not_a_spec(text, f"{name!r} is given twice")
        if isinstance(name, ComponentSpec):
            raise _not_a_spec(text, f"a key of a dictionary is quoted: {name.text!r}")
        rows[name] = _value(value, key, text)
    return _frozen_table(rows, key, 0)


def _unparsed(node: ast.expr, text: str) -> str:
    try:
        return ast.unparse(node)
    except ValueError as error:  # a whole number of thousands of digits
        raise _not_a_spec(text, str(error)) from None


def parse_params(text: str) -> tuple[tuple[str, Value], ...]:
    """Reads the options of a group: `key=value, ...`, where each value is written as on a command line.

    Raises:
        SpecError: If the text is not `key=literal, ...`.

    Example:
        >>> parse_params("weight_decay=0, lr=.1, nesterov=true")
        (('lr', 0.1), ('nesterov', True), ('weight_decay', 0))
    """
    if len(text) > MAX_LENGTH:
        raise _not_a_spec(text, "it is too long")
    source = f"({text})"
    call = _parse_call(source, text)
    if call.args:
        argument = ast.get_source_segment(f"_{source}", call.args[0]) or _unparsed(call.args[0], text)
        raise _not_a_spec(text, f"{shortened(argument)} stands without a name; write {shortened(f'key={argument}')}")
    written = {key: ast.get_source_segment(f"_{source}", value) or "" for key, value in _keywords(call, text).items()}
    params = {}
    for key, value in written.items():
        try:
            params[key] = parse_value(value)
        except _NaNError:
            raise _NaNError(f"{key} is NaN, which is not a value of a parameter", text=text) from None
    return frozen_params(params)


def parse_value(text: str) -> Value:
    """Reads the value of one parameter as it stands on a command line: a literal, else the text itself.

    `true`, `false` and `none` are read in any case. A bare word is text, not a nested spec.

    Raises:
        SpecError: If the value is NaN.

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
        value = _frozen(_value(_parse_expression(text.strip(), text), "value", text), "value")
    except _NaNError:
        raise
    except SpecError:
        return text
    return text if isinstance(value, ComponentSpec) and "(" not in text else value
