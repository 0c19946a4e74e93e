"""What fills one field of a run: a component by name, looked up and checked once, or a Python object."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import attrs

from lossreg.component import Component
from lossreg.components import Loss, Metric
from lossreg.errors import LossregError
from lossreg.groups import REST, SCHEDULER
from lossreg.plugins.provenance import LOCAL, Provenance
from lossreg.registry.build import ResolvedComponent, resolve, resolve_params
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.levels import levels_of
from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS
from lossreg.spec import ComponentSpec


@attrs.frozen(eq=False)
class Choice:
    """What fills one field of a run: a component by name, or a Python object.

    Attributes:
        label: How a person would write it.
        resolved: The component, ready to be built; None for an object that declares nothing.
        given: The object, or None.
        warning: A sentence to show before the run, or None.
        rest: Of an optimizer that is not for all parameters, the one that trains the rest; otherwise None.
        rest_is_named: Whether the spec names it.
        scheduler: Of an optimizer, the scheduler that moves its rates alone; None where it follows that of the run.
    """

    label: str
    resolved: ResolvedComponent[Any] | None = None
    given: Any = None
    warning: str | None = None
    rest: Choice | None = None
    rest_is_named: bool = False
    scheduler: Choice | None = None

    @property
    def component(self) -> Any:
        """What the component declares, or None for an object that declares nothing."""
        return None if self.resolved is None else self.resolved.entry.component

    @property
    def routed(self) -> Any:
        """What this optimizer declares, or one that it wraps, that is not for all parameters; None if all are."""
        levels = [] if self.resolved is None else levels_of(self.resolved)
        return next((one.entry.component for one in levels if one.entry.component.routes != "all"), None)

    @property
    def spec(self) -> ComponentSpec | None:
        """The component as it is written to disk; an object has no text."""
        if self.resolved is None or self.given is not None:
            return None
        read_here = {REST: self.rest, SCHEDULER: self.scheduler}
        return self.resolved.spec.with_params({key: one.spec for key, one in read_here.items() if one is not None})

    def build(self, *positional: Any, runtime: Mapping[str, Any]) -> Any:
        """Builds the component, or gives the object.

        Args:
            positional: What the kind's factory takes first.
            runtime: Runtime name -> value.

        Raises:
            LossregError: If it cannot be built.
        """
        return self.given if self.resolved is None else self.resolved.build(*positional, runtime=runtime)

    def builder(self, runtime: Mapping[str, Any]) -> Callable[..., Any]:
        """What builds the component again and again, or gives the object; as that of a `ResolvedComponent`.

        Args:
            runtime: Runtime name -> value.

        Raises:
            UnknownParameterError: If a required parameter is missing.
        """
        return (lambda *_: self.given) if self.resolved is None else self.resolved.builder(runtime)

    def facts(self, runtime: Mapping[str, Any]) -> dict[str, Any] | None:
        """For the run record: full id, all parameters and provenance; None for an object."""
        if self.resolved is None or self.given is not None:
            return None
        # What was set is recorded as it was written: it can be set again so.
        params = {**self.resolved.expanded(runtime), **dict(self.resolved.spec.params)}
        params = {key: _as_json(value) for key, value in params.items()}
        return {"id": self.resolved.entry.id, "params": params, **self.resolved.entry.provenance.to_json()}


def choose_named(field: str, spec: ComponentSpec, registries: Registries) -> Choice:
    """The component that a field of one component names.

    Raises:
        LossregError: If a name or a parameter is wrong; its attribute `setting` says which field it is about.
    """
    return look_up(field, COMPONENT_FIELDS[field], spec, registries)


def look_up(field: str, kind: str, spec: ComponentSpec, registries: Registries) -> Choice:
    """The component of a kind that a field names; raises as `choose_named`."""
    registry = registries.of(kind)
    try:
        resolved = resolve(registry, spec)
    except LossregError as error:
        error.setting = field
        raise
    entry = resolved.entry
    rivals = registry.rivals(entry)
    warning = None
    if rivals and "." not in spec.name:
        others = " and ".join(f"{other.id} ({other.provenance})" for other in rivals)
        warning = f"{spec.name} is {entry.id}, not {others}; a full id says which"
    return Choice(resolved.spec.with_name(registry.short_name(entry)).text, resolved, warning=warning)


def choose_object(given: Any) -> Choice:
    """An object in place of a name; a record declares what it is."""
    if not isinstance(given, Loss | Metric):
        return Choice(class_name(given), given=given)
    entry: RegistryEntry[Component] = RegistryEntry(given, Provenance(LOCAL))
    return Choice(given.name, resolve_params({}, entry, {}), given=given)


def class_name(part: object) -> str:
    """The class of an object, or the function that it is, for a person."""
    if isinstance(part, Loss | Metric):
        return f"lossreg.{type(part).__name__}({part.name!r})"
    named = part if callable(part) and hasattr(part, "__qualname__") else type(part)
    return f"{named.__module__}.{named.__qualname__}"


def _as_json(value: Any) -> Any:
    """A parameter's value for JSON: itself where JSON has it, else its text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value)
    if isinstance(value, list | tuple):
        return [_as_json(item) for item in value]
    if isinstance(value, Mapping):
        return {str(key): _as_json(item) for key, item in value.items()}
    if isinstance(value, ComponentSpec):
        return value.text
    if type(value).__module__ == "torch" and callable(getattr(value, "tolist", None)):  # a tensor as a default
        return _as_json(value.tolist())
    return str(value)[:200]
