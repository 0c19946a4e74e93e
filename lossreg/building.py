"""From a spec to an object: lookup, parameters, nested specs, factory."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lossreg.errors import UnknownParameterError
from lossreg.spec import ComponentSpec

if TYPE_CHECKING:
    from lossreg.registry import Registry


def build(
    registry: Registry[Any, Any], spec: str | ComponentSpec, leading: tuple[Any, ...], params: dict[str, Any]
) -> Any:
    """Builds a component; see `Registry.build`."""
    parsed = spec if isinstance(spec, ComponentSpec) else ComponentSpec.parse(spec)
    registered = registry[parsed.name]
    given = dict(parsed.params)
    for key in params:
        if key in given:
            raise UnknownParameterError(
                f"{registered.name}: {key} is given in the spec and as an argument",
                component=registered.name,
                parameter=key,
            )
    arguments = registered.arguments({**given, **params})
    return registered.construct(leading, _nested(registry, arguments, leading))


def build_for_runner(
    registry: Registry[Any, Any], spec: ComponentSpec, leading: tuple[Any, ...], runtime: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Builds a component for a runner, which supplies what the record's `runtime_args` ask for.

    Returns:
        The object, and all parameters that it was built with.
    """
    registered = registry[spec.name]
    arguments = registered.arguments(dict(spec.params), runtime)
    return registered.construct(leading, _nested(registry, arguments, leading)), registered.expanded(arguments)


def qualified(registry: Registry[Any, Any], spec: ComponentSpec) -> ComponentSpec:
    """The spec with full ids, in nested specs too, as it is written to disk.

    Raises:
        UnknownNameError: If there is no such component.
        AmbiguousNameError: If several plugins offer a short name.
    """

    def value_with_ids(value: Any) -> Any:
        if isinstance(value, ComponentSpec):
            return qualified(registry, value)
        return tuple(map(value_with_ids, value)) if isinstance(value, tuple) else value

    return ComponentSpec(registry[spec.name].id, {key: value_with_ids(value) for key, value in spec.params})


def _nested(registry: Registry[Any, Any], arguments: Mapping[str, Any], leading: tuple[Any, ...]) -> dict[str, Any]:
    """Builds nested specs, which name components of the same kind, with the same leading arguments."""

    def built(value: Any) -> Any:
        if isinstance(value, ComponentSpec):
            return build(registry, value, leading, {})
        return tuple(map(built, value)) if isinstance(value, tuple) else value

    return {key: built(value) for key, value in arguments.items()}
