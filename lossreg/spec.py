"""Specs of components: a name with parameters. Immutable, hashable, one canonical text."""

from __future__ import annotations

import enum
import keyword
import math
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from lossreg.errors import SpecError
from lossreg.names import normalize
from lossreg.spec_hints import NaNError, not_a_spec
from lossreg.values import plain, shown

MAX_DEPTH = 100  # levels of syntax; no spec that a person writes goes beyond this
MAX_BITS = 4096  # of a whole number; Python writes no number of many more in decimals

Value: TypeAlias = "bool | int | float | str | tuple[Value, ...] | Table | ComponentSpec | None"


def _spec_name(name: str) -> str:
    if not isinstance(name, str):
        raise SpecError(f"the name of a component is a text, not {shown(name)}", text="")
    normal = normalize(name)
    parts = normal.split(".")
    if len(parts) > 2 or not all(map(_is_word, parts)) or normal in ("inf", "nan"):
        raise not_a_spec(name, f"{shown(name)} is not a name")
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
    return tuple(sorted(((key, frozen_value(value, key)) for key, value in items.items()), key=lambda pair: pair[0]))


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


def frozen_value(value: object, where: str, depth: int = 0) -> Value:
    """A value in its immutable form.

    Args:
        value: The value.
        where: The parameter that it is of.
        depth: In how many lists and dictionaries it is.

    Raises:
        SpecError: If it has no literal form.
    """
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
                raise NaNError(f"{where} is NaN, which is not a value of a parameter", text=str(value))
            return float(value)
        case list() | tuple():
            return tuple(frozen_value(item, where, depth + 1) for item in value)
        case Mapping():
            return frozen_table(value, where, depth)
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


def frozen_table(value: Mapping[Any, object], where: str, depth: int) -> Table:
    """The same for a dictionary."""
    for key in value:
        if isinstance(key, bool) or not isinstance(key, str | int):
            raise SpecError(f"{where}: {shown(key)} is a key of a dictionary; a key is text or a whole number", text="")
    rows = tuple((key, frozen_value(item, where, depth + 1)) for key, item in value.items())
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
        written: The name as it stands in the text that was read, for messages; None where it is not known.

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
    written: str | None = attrs.field(init=False, default=None, eq=False, repr=False)

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
        from lossreg.spec_text import parse_spec  # it imports this module

        return parse_spec(text)

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
