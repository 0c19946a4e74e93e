"""What patterns over parameters are made of: globs over names, sizes and types of modules, joined."""

from __future__ import annotations

import fnmatch
import operator
from collections.abc import Callable, Mapping
from typing import Protocol

import attrs


@attrs.frozen
class ParameterFacts:
    """What a pattern may ask of a parameter.

    Attributes:
        name: As `named_parameters()` has it; behind `loss.` for one of the loss.
        shape: Its sizes.
        types: The class of the module that holds it, and the classes that this one is derived from.
    """

    name: str
    shape: tuple[int, ...]
    types: tuple[str, ...] = ()


class Pattern(Protocol):
    """What parameters can match."""

    @property
    def text(self) -> str:
        """The canonical text, which is parsed to a pattern of the same meaning."""

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether a parameter is meant."""


@attrs.frozen
class Glob:
    """A glob over names: `*` matches dots too, and upper and lower case differ."""

    text: str

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether the whole name matches."""
        return fnmatch.fnmatchcase(parameter.name, self.text)


_COMPARISONS: Mapping[str, Callable[[int, int], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
    ">": operator.gt,
    "<": operator.lt,
}


@attrs.frozen
class Dimensions:
    """A comparison of the number of dimensions: `ndim>=2`."""

    comparison: str
    number: int

    @property
    def text(self) -> str:
        """The canonical text."""
        return f"ndim{self.comparison}{self.number}"

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether the comparison holds."""
        return _COMPARISONS[self.comparison](len(parameter.shape), self.number)


@attrs.frozen
class Shape:
    """A shape, in which None is any size: `shape=(10, *)`."""

    sizes: tuple[int | None, ...]

    @property
    def text(self) -> str:
        """The canonical text."""
        sizes = ", ".join("*" if size is None else str(size) for size in self.sizes)
        return f"shape=({sizes},)" if len(self.sizes) == 1 else f"shape=({sizes})"

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether each size is the one that is asked for."""
        return len(parameter.shape) == len(self.sizes) and all(
            wanted in (None, size) for wanted, size in zip(self.sizes, parameter.shape, strict=True)
        )


@attrs.frozen
class Type:
    """A glob over the class of the module that holds the parameter, and over its base classes: `type=*Norm*`."""

    glob: str

    @property
    def text(self) -> str:
        """The canonical text."""
        return f"type={self.glob}"

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether one of the classes matches."""
        return any(fnmatch.fnmatchcase(name, self.glob) for name in parameter.types)


@attrs.frozen
class Not:
    """All that a pattern does not match."""

    pattern: Pattern

    @property
    def text(self) -> str:
        """The canonical text."""
        return f"!{_inner(self.pattern, AllOf, AnyOf)}"

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether the pattern does not match."""
        return not self.pattern.matches(parameter)


@attrs.frozen
class AllOf:
    """What all of several patterns match."""

    patterns: tuple[Pattern, ...]

    @property
    def text(self) -> str:
        """The canonical text."""
        return " & ".join(_inner(pattern, AnyOf) for pattern in self.patterns)

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether all match."""
        return all(pattern.matches(parameter) for pattern in self.patterns)


@attrs.frozen
class AnyOf:
    """What one of several patterns matches."""

    patterns: tuple[Pattern, ...]

    @property
    def text(self) -> str:
        """The canonical text."""
        return " | ".join(pattern.text for pattern in self.patterns)

    def matches(self, parameter: ParameterFacts) -> bool:
        """Whether one matches."""
        return any(pattern.matches(parameter) for pattern in self.patterns)


def _inner(pattern: Pattern, *looser: type) -> str:
    return f"({pattern.text})" if isinstance(pattern, looser) else pattern.text
