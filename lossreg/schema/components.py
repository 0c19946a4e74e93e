"""The components of a kind: the texts that name one, and what parameters each has."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import attrs

from lossreg.errors import LossregError
from lossreg.groups import REST, SCHEDULER
from lossreg.registry.annotations import MISSING
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registry import Registry
from lossreg.schema.docs import parameter_docs
from lossreg.schema.texts import checked_pattern, names_pattern, text_pattern
from lossreg.schema.values import NONE, Schema, default_schema, parameter_schema

#: What the runner reads of an optimizer's text, beside the parameters of its factory.
_OF_RUNNER = (REST, SCHEDULER)


@attrs.frozen
class KindSchema:
    """What a schema says of a kind.

    Attributes:
        text: The spec texts that name one.
        components: Full id -> its parameters, as a table.
    """

    text: Schema
    components: dict[str, Schema]


def kind_schema(registry: Registry[Any, Any], *, imports: bool) -> tuple[KindSchema, list[str]]:
    """The schema of a kind.

    Args:
        registry: The registry.
        imports: Whether each factory is imported, for the parameters that are not declared, their types and docs.

    Returns:
        It, and what could not be imported, with the reason.
    """
    components, closed, failures = {}, {}, []
    for entry in registry.entries:
        components[entry.id] = _declared(entry)
        if imports:
            try:
                signature, docs = entry.signature, parameter_docs(entry.factory)
            except LossregError as error:
                failures.append(error.message)
                continue
            for name, parameter in signature.parameters.items():
                _fill(components[entry.id], name, docs.get(name), parameter_schema(parameter), parameter.default)
            if not signature.open and not entry.component.nested:
                components[entry.id]["additionalProperties"] = False
                closed[entry.id] = [*signature.parameters, *(_OF_RUNNER if registry.kind == "optimizer" else ())]
    return KindSchema(_text_schema(registry, closed), components), failures


def _declared(entry: RegistryEntry[Any]) -> Schema:
    """The parameters that a record declares: with their defaults, needed, or supplied by the runner."""
    component = entry.component
    properties = {name: default_schema(value) for name, value in component.defaults.items()}
    properties |= {name: {} for name in component.required}
    for name, supplied in component.runtime_args.items():
        properties.setdefault(name, {"description": f"The runner supplies it: {supplied}."})
    needed = {"required": list(component.required)} if component.required else {}
    summary = {"description": component.summary} if component.summary else {}
    return {**summary, "type": "object", "properties": properties, **needed}


def _fill(table: Schema, name: str, doc: str | None, fitting: Schema, default: Any) -> None:
    """Adds to a declared parameter what its factory tells."""
    known = table["properties"].setdefault(name, {})
    own = {} if default is MISSING or {"default", "description"} & {*known} else default_schema(default)
    said = " ".join(part for part in (doc, known.get("description") or own.get("description")) if part)
    table["properties"][name] = {**({"description": said} if said else {}), **fitting, **_default_of(known, own)}


def _default_of(known: Schema, own: Schema) -> Schema:
    return {"default": (known | own)["default"]} if "default" in known | own else {}


def _text_schema(registry: Registry[Any, Any], closed: dict[str, list[str]]) -> Schema:
    """The texts that name a component: what fits, and each name with what it is, for completion."""
    free = [entry for entry in registry.entries if entry.id not in closed]
    patterns = [text_pattern(_names(registry, free))] if free else []
    patterns += [checked_pattern(_names(registry, [registry[full_id]]), closed[full_id]) for full_id in closed]
    names = [_named(registry, entry) for entry in registry.entries]
    return {"anyOf": [*({"type": "string", "pattern": pattern} for pattern in patterns), *names]}


def _named(registry: Registry[Any, Any], entry: RegistryEntry[Any]) -> Schema:
    component = entry.component
    parameters = ", ".join([*component.required, *(f"{key}={value!r}" for key, value in component.defaults.items())])
    said = [component.summary, f"{entry.name}({parameters})" if parameters else "", f"From {entry.provenance}."]
    if component.deprecated is not None:
        said.insert(0, f"Deprecated: {component.deprecated}.")
    return {"const": registry.short_name(entry), "description": "\n\n".join(filter(None, said))}


def _names(registry: Registry[Any, Any], entries: Iterable[RegistryEntry[Any]]) -> str:
    found: dict[str, list[tuple[str, bool]]] = {}
    for entry in entries:
        for word in entry.words:
            found.setdefault(entry.provenance.plugin, []).append((word, registry.resolves(word, entry)))
    return names_pattern(found)


def component_setting(kind: str, *, optional: bool) -> Schema:
    """A setting that is a component."""
    text: Schema = {"$ref": f"#/definitions/{kind}"}
    return {"anyOf": [text, *NONE]} if optional else {"allOf": [text]}  # draft 7 reads nothing beside a $ref


def components_setting(kind: str) -> Schema:
    """A setting that is several components, or one."""
    text: Schema = {"$ref": f"#/definitions/{kind}"}
    return {"anyOf": [{"type": "array", "items": text, "uniqueItems": True}, text, *NONE]}
