"""What JSON Schema says of one value: none at all, a default, a parameter of an annotated type."""

from __future__ import annotations

import math
import pathlib
import types
import typing
from collections.abc import Mapping, Sequence
from typing import Any, Literal, Union

from lossreg.registry.annotations import MISSING, members_of
from lossreg.registry.parameters import Parameter
from lossreg.settings import any_case

Schema = dict[str, Any]

_PLAIN: Mapping[Any, Schema] = {
    bool: {"type": "boolean"},
    int: {"type": "integer"},
    float: {"type": "number"},
    str: {"type": "string"},
    None: {"type": "null"},
    types.NoneType: {"type": "null"},
}

#: What says that a setting has no value: the word `none`, which editors complete, in any case; in JSON also null.
NONE: tuple[Schema, ...] = (
    {"enum": ["none", None]},
    {"type": "string", "pattern": rf"^\s*{any_case('none')}\s*$"},
)


def one_of(schemas: Sequence[Schema]) -> Schema:
    """Values that one of several schemas lets pass.

    Example:
        >>> one_of([{"type": "string"}]), one_of([{"type": "string"}, {}])
        ({'type': 'string'}, {})
    """
    if len(schemas) == 1:
        return schemas[0]
    return {"anyOf": list(schemas)} if all(schemas) else {}


def is_json(value: object) -> bool:
    """Whether JSON can hold a value as it is: no object, and no number without end."""
    if isinstance(value, float):
        return math.isfinite(value)
    if isinstance(value, Mapping):
        return all(isinstance(key, str) and is_json(one) for key, one in value.items())
    if isinstance(value, list | tuple):
        return all(map(is_json, value))
    return value is None or isinstance(value, bool | int | str)


def default_schema(value: object) -> Schema:
    """The keyword `default`, where JSON has the value; otherwise its text in the description."""
    return {"default": value} if is_json(value) else {"description": f"Default: {value!r}."}


def parameter_schema(parameter: Parameter) -> Schema:
    """The values that fit a parameter of a factory, as far as its annotation is understood."""
    found = annotation_schema(parameter.accepted)
    return one_of([found, {"type": "null"}]) if found and parameter.default is None else found


def annotation_schema(annotation: Any) -> Schema:
    """The values that fit an annotation; what is not understood lets everything pass.

    Example:
        >>> annotation_schema(float | None), annotation_schema(Literal["mean", "sum"]), annotation_schema(object)
        ({'anyOf': [{'type': 'number'}, {'type': 'null'}]}, {'enum': ['mean', 'sum']}, {})
    """
    if annotation is MISSING or annotation is Any:
        return {}
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin in (Union, types.UnionType):
        return one_of([annotation_schema(one) for one in arguments])
    if origin is Literal:
        return {"enum": list(arguments)} if is_json(arguments) else {}
    if origin is typing.Annotated:
        return annotation_schema(arguments[0])
    if origin in (list, tuple, Sequence):
        return _array(origin, arguments)
    if members_of(annotation):
        return {}  # a member is written in several ways
    if isinstance(annotation, type) and issubclass(annotation, pathlib.PurePath):
        return {"type": "string"}
    # A float may be written `inf`, which is text in JSON.
    found = _PLAIN.get(annotation, {}) if annotation is None or isinstance(annotation, type) else {}
    return dict(found)


def _array(origin: Any, arguments: tuple[Any, ...]) -> Schema:
    if origin is tuple and arguments and arguments[-1] is not Ellipsis:
        items = [annotation_schema(one) for one in arguments]
        return {"type": "array", "items": items, "minItems": len(items), "maxItems": len(items)}
    items_of_all = annotation_schema(arguments[0]) if arguments else {}
    return {"type": "array", **({"items": items_of_all} if items_of_all else {})}
