"""From a spec to an object: lookup, parameters, nested specs, factory."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lossreg.errors import UnknownParameterError
from lossreg.spec import ComponentSpec

if TYPE_CHECKING:
    from lossreg.registry import Registry


def build(
    registry: Registry[Any, Any], spec: str | ComponentSpec, leading: tuple[Any, ...], params: dict[str, Any]
) -> Any:
    """Builds a component; see `Registry.build`."""
    parsed = ComponentSpec.parse(spec) if isinstance(spec, str) else spec
    registered = registry[parsed.name]
    if parsed.params:
        params = _joined(registered.name, parsed.params, params)
    arguments = registered.arguments(params)
    _build_nested(registry, arguments, params, leading)
    return registered.construct(leading, arguments)


def _joined(component: str, written: tuple[tuple[str, Any], ...], params: dict[str, Any]) -> dict[str, Any]:
    for key, _ in written:
        if key in params:
            raise UnknownParameterError(
                f"{component}: {key} is given in the spec and as an argument", component=component, parameter=key
            )
    return {**dict(written), **params}


def build_for_runner(
    registry: Registry[Any, Any], spec: ComponentSpec, leading: tuple[Any, ...], runtime: Mapping[str, Any]
) -> tuple[Any, dict[str, Any]]:
    """Builds a component for a runner, which supplies what the record's `runtime_args` ask for.

    Returns:
        The object, and all parameters that it was built with.
    """
    registered = registry[spec.name]
    params = dict(spec.params)
    arguments = registered.arguments(params, runtime)
    expanded = registered.expanded(arguments)
    _build_nested(registry, arguments, params, leading)
    return registered.construct(leading, arguments), expanded


def check(registry: Registry[Any, Any], spec: ComponentSpec) -> None:
    """Looks up the name and checks the parameters of a spec, nested ones too, without building anything.

    Raises:
        LossregError: If something is wrong with them.
    """
    registered = registry[spec.name]
    for name, value in spec.params:
        registered.signature.find(name, registered.name, registered.record.defaults).check(value, registered.name)
        for nested in value if isinstance(value, tuple) else (value,):
            if isinstance(nested, ComponentSpec):
                check(registry, nested)


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


def _build_nested(
    registry: Registry[Any, Any], arguments: dict[str, Any], given: Iterable[str], leading: tuple[Any, ...]
) -> None:
    """Replaces nested specs, which name components of the same kind, by what they build with the same `leading`."""

    def built(value: Any) -> Any:
        if isinstance(value, ComponentSpec):
            return build(registry, value, leading, {})
        return tuple(map(built, value)) if isinstance(value, tuple) else value

    for key in given:
        if isinstance(arguments[key], ComponentSpec | tuple):
            arguments[key] = built(arguments[key])
