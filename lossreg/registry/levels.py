"""Optimizers that wrap another one: the levels of such a chain, and the parameter groups that each of them is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

Level = Any  # a ResolvedComponent, whose module imports this one


class GroupsByLevel(list[dict[str, Any]]):
    """Parameter groups for an optimizer that wraps another one: with its own options; `inner` has those of the other.

    Args:
        groups: The groups of the outermost optimizer.
        inner: The same groups for what it wraps.
    """

    def __init__(self, groups: Sequence[dict[str, Any]], inner: list[dict[str, Any]]) -> None:
        super().__init__(groups)
        self.inner = inner

    @classmethod
    def of(cls, members: Sequence[Any], options: Sequence[Sequence[Mapping[str, Any]]]) -> list[dict[str, Any]]:
        """The groups.

        Args:
            members: The parameters of each group.
            options: The options of each group, level by level, the outermost first.
        """
        own = [{"params": some, **levels[0]} for some, levels in zip(members, options, strict=True)]
        if len(options[0]) == 1:
            return own
        return cls(own, cls.of(members, [levels[1:] for levels in options]))

    def map(self, change: Callable[[Any], Any]) -> GroupsByLevel:
        """The same with other parameters.

        Args:
            change: From the parameters of a group to those that take their place.
        """
        return GroupsByLevel(*(changed(groups, change) for groups in (list(self), self.inner)))

    def merged(self) -> list[dict[str, Any]]:
        """The groups with the options of all levels: for an optimizer that makes the other one itself."""
        inner = self.inner.merged() if isinstance(self.inner, GroupsByLevel) else self.inner
        return [{**theirs, **mine} for mine, theirs in zip(self, inner, strict=True)]


def changed(groups: list[dict[str, Any]], change: Callable[[Any], Any]) -> list[dict[str, Any]]:
    """Groups with other parameters, of one level or of several.

    Args:
        groups: The groups.
        change: From the parameters of a group to those that take their place.
    """
    if isinstance(groups, GroupsByLevel):
        return groups.map(change)
    return [{**group, "params": change(group["params"])} for group in groups]


def for_wrapped(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a wrapped optimizer is given of what its wrapper is given."""
    return tuple(value.inner if isinstance(value, GroupsByLevel) else value for value in values)


def for_maker(values: tuple[Any, ...]) -> tuple[Any, ...]:
    """What a wrapper is given that makes the wrapped optimizer itself, and passes on its own groups."""
    return tuple(value.merged() if isinstance(value, GroupsByLevel) else value for value in values)


def levels_of(resolved: Level) -> list[Level]:
    """An optimizer, the one that it wraps, the one that this wraps, and so on; the chain ends where there are several.

    Args:
        resolved: The outermost one.
    """
    levels = [resolved]
    while True:
        wrapped = [*nested_in(tuple(levels[-1].params.values()))]
        if len(wrapped) != 1:
            return levels
        levels += wrapped


def nested_in(value: Any) -> Iterator[Level]:
    """The components in the parameters of one, or in lists among these."""
    if hasattr(value, "entry"):
        yield value
    elif isinstance(value, tuple):
        for item in value:
            yield from nested_in(item)
