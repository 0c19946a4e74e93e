"""From a spec to an object: names are looked up and parameters checked once; then it is built as often as needed."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Generic, Protocol, TypeVar

import attrs

from lossreg.component import Component
from lossreg.components import Scheduler
from lossreg.errors import SpecError, UnknownNameError, UnknownParameterError
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.from_data import BALANCED, FromData
from lossreg.registry.levels import for_maker, for_wrapped
from lossreg.spec import ComponentSpec, holds_spec, value_text
from lossreg.values import shown

C = TypeVar("C", bound=Component)


class Lookup(Protocol):
    """What is needed of a registry."""

    def __getitem__(self, name: str, /) -> RegistryEntry[Any]: ...


@attrs.define(eq=False)  # not frozen, which costs a microsecond for each that is made
class ResolvedComponent(Generic[C]):
    """A component with parameters, ready to be built.

    Attributes:
        entry: What the name led to.
        written: The parameters as they were set.
        params: The same in the form that the factory takes; nested specs are resolved, too.
    """

    entry: RegistryEntry[C]
    written: Mapping[str, Any]
    params: Mapping[str, Any]

    @property
    def spec(self) -> ComponentSpec:
        """The spec as it is written to disk: with full ids."""
        params = {
            key: _as_spec(self.params[key]) if _is_resolved(self.params[key]) else value
            for key, value in self.written.items()
        }
        return ComponentSpec(self.entry.id, params)

    @property
    def nests(self) -> bool:
        """Whether components are nested in it."""
        return any(map(_is_resolved, self.params.values()))

    def arguments(self, runtime: Mapping[str, Any]) -> dict[str, Any]:
        """The keyword arguments for the factory; nested components are not built yet.

        Args:
            runtime: Runtime name -> value, for the component's `runtime_args`.

        Raises:
            UnknownParameterError: If a required parameter is missing.
        """
        return self.entry.arguments(self.params, runtime)

    def build(self, *positional: Any, runtime: Mapping[str, Any]) -> Any:
        """Builds the component.

        Args:
            positional: What the kind's factory takes first.
            runtime: Runtime name -> value, for this component and for nested ones.

        Raises:
            UnknownParameterError: If a required parameter is missing.
            BuildError: If a factory fails.
        """
        arguments = self.arguments(runtime)
        component: Component = self.entry.component
        composes = isinstance(component, Scheduler) and component.composes
        first = component.first_arguments(positional, runtime)
        for key in self.params:
            value = arguments[key]
            if isinstance(value, FromData):
                raise value.refused()
            if not isinstance(value, _MAY_NEST):
                continue
            its_runtime = dict(zip(runtime, for_wrapped(tuple(runtime.values())), strict=True))
            if isinstance(value, ResolvedComponent) and self.entry.takes_maker(key):
                arguments[key] = functools.partial(value.make, its_runtime)
                first = for_maker(first)
            else:
                arguments[key] = _built(value, for_wrapped(positional), its_runtime, composes=composes)
        return self.entry.construct(arguments, *first)

    def builder(self, runtime: Mapping[str, Any]) -> Callable[..., Any]:
        """What builds the component again and again, called with what the kind's factory takes first.

        The arguments are found once, unless components are nested among them, which are built anew each time.

        Args:
            runtime: Runtime name -> value.

        Raises:
            UnknownParameterError: If a required parameter is missing.
        """
        if self.nests or any(isinstance(value, FromData) for value in self.params.values()):
            return functools.partial(self.build, runtime=runtime)
        construct = functools.partial(self.entry.construct, self.arguments(runtime))
        first_arguments = self.entry.component.first_arguments
        if first_arguments(given := (None,), runtime) is given:  # as it is each time, since it goes by the runtime
            return construct
        return functools.partial(_construct_with, construct, first_arguments, runtime)

    def make(self, runtime: Mapping[str, Any], /, *positional: Any, **params: Any) -> Any:
        """Builds the component for a factory that wraps it and calls it as a class, with parameters that this one sets.

        Args:
            runtime: Runtime name -> value.
            positional: What the kind's factory takes first.
            params: Parameters that win over those of the spec.
        """
        wrapped = ResolvedComponent(self.entry, self.written, {**self.params, **params})
        return wrapped.build(*positional, runtime=runtime)

    def expanded(self, runtime: Mapping[str, Any]) -> dict[str, Any]:
        """All parameters that a build with this runtime has, the factory's own defaults included."""
        return {key: _as_spec(value) for key, value in self.entry.expanded(self.arguments(runtime)).items()}


def _construct_with(
    construct: Callable[..., Any], first_arguments: Callable[..., Any], runtime: Mapping[str, Any], *positional: Any
) -> Any:
    return construct(*first_arguments(positional, runtime))


_MAY_NEST = (ResolvedComponent, tuple)


def build(registry: Lookup, spec: str | ComponentSpec, positional: tuple[Any, ...], params: dict[str, Any]) -> Any:
    """Builds a component outside of a run; see `Registry.build`."""
    parsed = ComponentSpec.parse(spec) if isinstance(spec, str) else spec
    if not isinstance(parsed, ComponentSpec):
        raise SpecError(f"what is built is a name or a spec text such as 'dice(smooth=1)', not {shown(spec)}", text="")
    entry = registry[parsed.name]
    if parsed.params or parsed.nested:
        params = _joined(entry.name, _written(entry, parsed), params)
    return resolve_params(registry, entry, params).build(*positional, runtime={})


def resolve(registry: Lookup, spec: ComponentSpec) -> ResolvedComponent[Any]:
    """Looks up the names of a spec and checks its parameters, nested specs included; builds nothing.

    Raises:
        UnknownNameError: If a component does not exist.
        AmbiguousNameError: If several plugins offer a short name.
        UnknownParameterError: If a parameter is unknown.
        ParameterError: If a value does not fit.
    """
    entry = registry[spec.written or spec.name]  # which a message shows
    return resolve_params(registry, entry, _written(entry, spec))


def resolve_params(registry: Lookup, entry: RegistryEntry[C], written: Mapping[str, Any]) -> ResolvedComponent[C]:
    """The same for a component that is looked up already; its parameters may be any objects."""
    declared = entry.component.nested
    if declared is not None and isinstance(written.get(key := declared.removeprefix("*")), str):
        written = {**written, key: ComponentSpec.parse(written[key])}  # as a dotted option gives it
    params = entry.checked(written)
    for key, value in params.items():
        if holds_spec(value):  # it is no word for a member of an Enum or the like
            params[key] = _resolved_as(key, registry, value)
    return ResolvedComponent(entry, written, params)


def _written(entry: RegistryEntry[Any], spec: ComponentSpec) -> dict[str, Any]:
    """The parameters of a spec, with those that stand without a name under the one that the component declares."""
    params = dict(spec.params)
    if not spec.nested:
        return params
    declared, first = entry.component.nested, spec.nested[0].text
    if declared is None:
        raise UnknownParameterError(
            f"{entry.name}: {first} stands without a name; write key={first}. {entry.describe()}",
            component=entry.name,
            parameter=first,
        )
    key = declared.removeprefix("*")
    if key in params:
        raise UnknownParameterError(
            f"{entry.name}: {key} is given twice: as {first}, which stands without a name, and as "
            f"{key}={value_text(params[key])}",
            component=entry.name,
            parameter=key,
        )
    if key == declared and len(spec.nested) > 1:
        raise UnknownParameterError(
            f"{entry.name}: {spec.nested[1].text} stands without a name, but {key} is one component, which is {first}",
            component=entry.name,
            parameter=key,
        )
    return {**params, key: spec.nested[0] if key == declared else spec.nested}


def _is_resolved(value: object) -> bool:
    """Whether a value is a resolved component, or a list that holds one."""
    return any(map(_is_resolved, value)) if isinstance(value, tuple) else isinstance(value, ResolvedComponent)


def _resolved_as(key: str, registry: Lookup, value: Any) -> Any:
    try:
        return _resolved(registry, value)
    except UnknownNameError as error:
        error.message += f"\n  in {key}={value_text(value)}, where a bare word names a component; text is quoted"
        if value_text(value) == BALANCED:
            error.message += f"; {key} takes no {BALANCED}, which is for what a record declares in data_values"
        raise


def _resolved(registry: Lookup, value: Any) -> Any:
    """The value with nested specs, which name components of the same kind, resolved."""
    if isinstance(value, ComponentSpec):
        return resolve(registry, value)
    return tuple(_resolved(registry, item) for item in value) if isinstance(value, tuple) else value


def _built(value: Any, positional: tuple[Any, ...], runtime: Mapping[str, Any], *, composes: bool) -> Any:
    """The value with nested components built with the same positional arguments, or as functions that build them."""
    if isinstance(value, ResolvedComponent):
        if not composes:
            return value.build(*positional, runtime=runtime)
        from lossreg.registry.nested import Nested  # it imports this module

        return Nested(value, positional, runtime)
    if isinstance(value, tuple):
        return tuple(_built(item, positional, runtime, composes=composes) for item in value)
    return value


def _as_spec(value: Any) -> Any:
    if isinstance(value, ResolvedComponent):
        return value.spec
    return tuple(map(_as_spec, value)) if isinstance(value, tuple) else value


def _joined(component: str, written: Mapping[str, Any], params: Mapping[str, Any]) -> dict[str, Any]:
    for key in written:
        if key in params:
            raise UnknownParameterError(
                f"{component}: {key} is given in the spec and as an argument", component=component, parameter=key
            )
    return {**written, **params}
