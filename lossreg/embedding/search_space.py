"""The settings of a run, with ranges in their texts: what a search tries, checked before it begins. Needs no torch."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, TypeAlias

import attrs

from lossreg.data import Task
from lossreg.embedding.range_text import read_template
from lossreg.embedding.ranges import Choices, Pick, Range, Template
from lossreg.errors import ConfigError, LossregError, ParameterError
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, RUN_KEYS, key_hint
from lossreg.spec import ComponentSpec
from lossreg.spec_text import parse_value
from lossreg.values import shown

_KINDS = "; uniform, loguniform and quniform give numbers with a point, randint whole numbers, choice what it lists"

_Tree: TypeAlias = "Template | _Rows | _Items | object"


@attrs.frozen(eq=False)
class _Rows:
    """A mapping in whose keys and values there may be ranges."""

    rows: tuple[tuple[_Tree, _Tree], ...]


@attrs.frozen(eq=False)
class _Items:
    """A list in which there may be ranges."""

    items: tuple[_Tree, ...]


_HAVE_RANGES = (Template, _Rows, _Items)


@attrs.frozen(eq=False)
class SearchSpace:
    """Settings with ranges.

    Attributes:
        given: The settings as they were given.
    """

    given: Mapping[str, Any]
    _trees: Mapping[str, _Tree] = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        for key in self.given:
            if key not in RUN_KEYS:
                raise ConfigError(f"a run has no setting {shown(key)}.{key_hint(key, lambda _: '')}")
        object.__setattr__(self, "_trees", {key: _read(value, key) for key, value in self.given.items()})

    def filled(self, pick: Pick) -> dict[str, Any]:
        """The settings with a value for each range.

        Args:
            pick: What is asked for each range, in the order in which they are written.
        """
        return {key: _named(key, _filled(tree, pick)) for key, tree in self._trees.items()}

    def check(self, registries: Registries, task: Task | None = None) -> None:
        """Builds what the ends of the ranges, and all that can be chosen, lead to, and throws it away.

        Args:
            registries: Where names are looked up.
            task: That of the data, which each loss has to fit; None if it is not known.

        Raises:
            LossregError: If an end is a value that its parameter does not take, or something else is wrong.
        """
        from lossreg.embedding.range_trial import try_settings  # it imports torch

        every = {key: [_named(key, one) for one in _ends(tree)] for key, tree in self._trees.items()}
        for number in range(max(map(len, every.values()), default=1)):
            settings = {key: some[number % len(some)] for key, some in every.items()}
            try:
                try_settings(settings, registries, task)
            except LossregError as error:
                error.message = f"{self._allows(error.setting, settings)}{error.message}{self._kinds(error)}"
                raise

    def _allows(self, setting: str | None, settings: Mapping[str, Any]) -> str:
        """Which text it is that is wrong, as the beginning of a message; nothing where it has no range."""
        changed = [key for key, value in settings.items() if value is not self.given[key]]
        about = [setting] if setting is not None and setting in settings else changed
        if not set(about) & {*changed}:
            return ""
        return "".join(f"{key}={shown(self.given[key])} allows {shown(settings[key])}: " for key in about)

    def _kinds(self, error: LossregError) -> str:
        """Which kinds of ranges there are, as the end of a message, where one gives values of a wrong type."""
        if not isinstance(error, ParameterError):
            return ""
        names = [found.name for tree in self._trees.values() for found in _ranges(tree)]
        return _KINDS if any(name.rpartition(".")[2] == error.parameter for name in names) else ""


def _read(value: object, name: str) -> _Tree:
    """A value, with a template for each text that has ranges."""
    match value:
        case str():
            template = read_template(value, name)
            return template if template.ranges else value
        case Mapping():
            rows = [(_read(key, _of_key(key, name)), _read(inner, f"{name}.{key}")) for key, inner in value.items()]
            has_ranges = any(isinstance(one, _HAVE_RANGES) for row in rows for one in row)
            return _Rows(tuple(rows)) if has_ranges else value
        case list() | tuple():
            items = tuple(_read(item, f"{name}.{position}") for position, item in enumerate(value))
            return _Items(items) if any(isinstance(one, _HAVE_RANGES) for one in items) else value
    return value


def _of_key(key: object, name: str) -> str:
    """What a range in a key is for, such as the factor of a preset: `param_groups.layer_decay`."""
    return f"{name}.{str(key).partition('(')[0].strip()}"


def _filled(tree: _Tree, pick: Pick) -> Any:
    match tree:
        case Template():
            return _value(tree, tree.filled(pick))
        case _Rows():
            return {_filled(key, pick): _filled(value, pick) for key, value in tree.rows}
        case _Items():
            return [_filled(item, pick) for item in tree.items]
    return tree


def _value(template: Template, text: str) -> Any:
    """What a text stands for: a number or word where a range is all there is, else the text itself."""
    if len(template.pieces) > 1:
        return text
    value = parse_value(text)
    return text if isinstance(value, ComponentSpec) else value


def _named(key: str, value: Any) -> Any:
    """A value that is to name a component as a text, which a number is not the name of."""
    return repr(value) if key in COMPONENT_FIELDS and isinstance(value, bool | int | float) else value


def _ends(tree: _Tree) -> list[Any]:
    """Values in which each end of each range stands at least once; the value itself where it has no range."""
    match tree:
        case Template():
            return [_value(tree, text) for text in tree.ends()]
        case _Rows():
            every = [(_ends(key), _ends(value)) for key, value in tree.rows]
            count = max(len(some) for row in every for some in row)
            return [
                {keys[number % len(keys)]: values[number % len(values)] for keys, values in every}
                for number in range(count)
            ]
        case _Items():
            each = [_ends(item) for item in tree.items]
            count = max(map(len, each))
            return [[some[number % len(some)] for some in each] for number in range(count)]
    return [tree]


def _ranges(tree: _Tree) -> Iterator[Range]:
    """All ranges, those inside of a choice, too."""
    match tree:
        case Template():
            yield from tree.ranges
            for found in tree.ranges:
                for option in found.options if isinstance(found, Choices) else ():
                    yield from _ranges(option)
        case _Rows():
            for key, value in tree.rows:
                yield from _ranges(key)
                yield from _ranges(value)
        case _Items():
            for item in tree.items:
                yield from _ranges(item)
