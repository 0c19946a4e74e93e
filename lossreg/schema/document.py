"""The schema of a file of settings, from the settings, the registries and the table of a comparison."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.registry.registries import Registries
from lossreg.run_spec import COMPONENT_FIELDS, LISTED_FIELDS, SETTINGS, RunSpec
from lossreg.schema.components import KindSchema, component_setting, components_setting, kind_schema
from lossreg.schema.values import NONE, Schema, is_json
from lossreg.settings import Check
from lossreg.synonyms import SYNONYMS
from lossreg.validation import TargetText

#: TOML editors (taplo) read drafts 4 to 7; later ones only in newer versions of some.
DRAFT = "http://json-schema.org/draft-07/schema#"

COMPARE = "compare"

#: Keys of the table [compare] that are not settings of a run.
COMPARISON: Mapping[str, Schema] = {
    "seeds": {"type": "integer", "minimum": 1, "description": "Seeds of each cell, counted from `seed`."},
    "pairs": {"type": "boolean", "description": "The first values of all lists are a cell, the second ones the next."},
    "target": {**TargetText().schema(), "description": "Measure epochs and seconds until a metric reaches a value."},
    "baseline": {"type": "string", "description": "The cell that the others are compared with: a part of its label."},
    "fair": {"type": "integer", "minimum": 2, "description": "How many learning rates are tried for each cell."},
}


def file_schema(registries: Registries, *, imports: bool = False) -> tuple[Schema, list[str]]:
    """The schema of a file of settings, for all that is installed.

    Args:
        registries: What can be named.
        imports: Whether each factory is imported, for types and docs of parameters, and to refuse unknown ones.

    Returns:
        It, and what could not be imported, with the reason.
    """
    kinds, failures = {}, []
    for kind in (*COMPONENT_FIELDS.values(), *LISTED_FIELDS.values()):
        kinds[kind], failed = kind_schema(registries.of(kind), imports=imports)
        failures += failed
    settings = {field.name: _setting(field) for field in attrs.fields(RunSpec)}
    definitions: Schema = {kind: found.text for kind, found in kinds.items()}
    for kind, found in kinds.items():
        definitions |= {f"{kind}.{full_id}": table for full_id, table in found.components.items()}
    return {
        "$schema": DRAFT,
        "title": "Settings of lossreg",
        "description": "A file for lossreg run -c and lossreg compare -c, with what was installed when it was made.",
        "type": "object",
        "properties": {**settings, COMPARE: _comparison(settings, kinds)},
        "additionalProperties": False,
        "definitions": definitions,
    }, failures


def _setting(field: attrs.Attribute[Any]) -> Schema:
    """A setting with what a person reads of it."""
    setting, check = SETTINGS[field.name], field.validator
    if field.name in COMPONENT_FIELDS:
        found = component_setting(COMPONENT_FIELDS[field.name], optional=setting.optional)
    elif field.name in LISTED_FIELDS:
        found = components_setting(LISTED_FIELDS[field.name])
    else:
        found = check.schema() if isinstance(check, Check) else {}
        found = {"anyOf": [found, *NONE]} if setting.optional and found else found
    default = getattr(field.default, "text", field.default)
    plain = {"default": default} if default is not None and is_json(default) and default != () else {}
    return {"description": f"{setting.description} Default: {setting.default}.", **found, **plain}


def _comparison(settings: Mapping[str, Schema], kinds: Mapping[str, KindSchema]) -> Schema:
    """The table `[compare]`: each setting with a value or a list, and parameters of components."""
    properties: Schema = {}
    for name, setting in settings.items():
        value = {key: rest for key, rest in setting.items() if key not in ("description", "default")}
        # Of what a run itself takes several of, a list is one value.
        lists = [] if name in LISTED_FIELDS else [{"type": "array", "items": value, "minItems": 1}]
        properties[name] = {"description": setting["description"], "anyOf": [value, *lists]}
    for field, kind in COMPONENT_FIELDS.items():
        for parameter, owners in _owners(kinds[kind]).items():
            properties[f"{field}.{parameter}"] = _parameter(owners)
    words = sorted({*COMPONENT_FIELDS, *(word for word, field in SYNONYMS.items() if field in COMPONENT_FIELDS)})
    return {
        "type": "object",
        "description": 'What is compared: a setting, or a parameter such as "optimizer.lr", with a value or a list.',
        "properties": {**properties, **COMPARISON},
        "patternProperties": {rf"^(?:{'|'.join(words)})\.[A-Za-z_][\w-]*$": {"type": _VALUES}},
        "additionalProperties": False,
    }


_VALUES = ["string", "number", "boolean", "array", "object"]
_NAMED = 8  # components that the description of a parameter names


def _owners(kind: KindSchema) -> dict[str, list[str]]:
    """Parameter -> the components that have it."""
    found: dict[str, list[str]] = {}
    for full_id, table in kind.components.items():
        for parameter in table["properties"]:
            found.setdefault(parameter, []).append(full_id.removeprefix("builtin."))
    return found


def _parameter(owners: list[str]) -> Schema:
    more = f" and {len(owners) - _NAMED} more" if len(owners) > _NAMED else ""
    return {"description": f"Of {', '.join(owners[:_NAMED])}{more}."}
