"""Optimizers that wrap another one: the levels of such a chain, and the parameter groups that each of them is given."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

from lossreg.groups import REST, SCHEDULER
from lossreg.spec import ComponentSpec

if TYPE_CHECKING:
    from lossreg.registry.entry import RegistryEntry

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


class Routed(NamedTuple):
    """What the spec of an optimizer says of the parameters that it is not for.

    Attributes:
        spec: The spec without `rest`.
        entry: The optimizer that is not for all parameters: the named one, or one that it wraps; None if there is none.
        written: What `rest` is, wherever it is written: inside of what is wrapped, or outside.
    """

    spec: ComponentSpec
    entry: RegistryEntry[Any] | None
    written: tuple[Any, ...] = ()


def routed(registry: Any, spec: ComponentSpec) -> Routed:
    """Looks for an optimizer that is not for all parameters, and takes `rest` out; nothing is built or checked.

    Args:
        registry: That of optimizers.
        spec: The optimizer, by a name that may not exist.
    """
    entry = registry.get(spec.name)
    if entry is None:
        return Routed(spec, None)
    inner = None
    params, nested = dict(spec.params), spec.nested
    if entry.component.routes == "all":
        found = _wrapped_spec(entry, spec)
        if found is None:
            return Routed(spec, None)
        inner = routed(registry, found[1])
        if inner.entry is None:
            return Routed(spec, None)
        params, nested = (params, (inner.spec,)) if found[0] is None else ({**params, found[0]: inner.spec}, nested)
    written = (params.pop(REST),) if REST in params else ()
    if inner is None:
        return Routed(ComponentSpec(spec.name, params, nested), entry, written)
    return Routed(ComponentSpec(spec.name, params, nested), inner.entry, (*written, *inner.written))


def _wrapped_spec(entry: RegistryEntry[Any], spec: ComponentSpec) -> tuple[str | None, ComponentSpec] | None:
    """The one optimizer that is nested in a spec, and the parameter that it stands behind, if it stands behind one."""
    found: list[tuple[str | None, ComponentSpec]] = [(None, one) for one in spec.nested]
    for key, value in spec.params:
        if isinstance(value, str) and key == entry.component.nested:
            value = ComponentSpec.parse(value)  # as a dotted option gives it
        if isinstance(value, ComponentSpec) and key not in (REST, SCHEDULER):
            found.append((key, value))
    return found[0] if len(found) == 1 else None
