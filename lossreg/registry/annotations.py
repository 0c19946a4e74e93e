"""Annotations of parameters: whether a value fits one, and how it is written."""

from __future__ import annotations

import collections.abc
import inspect
import numbers
import pathlib
import types
import typing
from typing import Any, Literal, Union

from lossreg.spec import ComponentSpec

MISSING: Any = inspect.Parameter.empty

_SEQUENCES = (tuple, list, collections.abc.Sequence, collections.abc.Iterable)


def accepts(expected: Any, value: object) -> bool:
    """Whether a value fits an annotation. What is not understood accepts everything.

    Example:
        >>> accepts(float | None, 1), accepts(float, True), accepts(tuple[float, float], (0.9, 0.999))
        (True, False, True)
    """
    origin = typing.get_origin(expected)
    arguments = typing.get_args(expected)
    if expected is Any or expected is MISSING:
        return True
    if origin in (Union, types.UnionType):
        return any(accepts(argument, value) for argument in arguments)
    if origin is Literal:
        return any(type(value) is type(argument) and value == argument for argument in arguments)
    if origin is typing.Annotated:
        return accepts(arguments[0], value)
    if origin in _SEQUENCES or expected in _SEQUENCES:
        return _accepts_sequence(arguments, value)
    if origin is collections.abc.Callable or expected is collections.abc.Callable:
        return callable(value)
    if isinstance(value, ComponentSpec):  # a nested spec becomes an object of its own
        return expected not in (bool, int, float, str, None, types.NoneType) and not _is_tensor(expected)
    return _accepts_plain(expected, value)


def plain_types(expected: Any) -> frozenset[type]:
    """The builtin types of which every value fits an annotation.

    Example:
        >>> sorted(kind.__name__ for kind in plain_types(float | str))
        ['float', 'int', 'str']
        >>> plain_types(Literal[True, "auto"])
        frozenset()
    """
    if expected is Any or expected is MISSING:
        return frozenset({bool, int, float, str})
    if typing.get_origin(expected) in (Union, types.UnionType):
        return frozenset().union(*map(plain_types, typing.get_args(expected)))
    return frozenset((int, float) if expected is float else (kind for kind in (bool, int, str) if kind is expected))


def _accepts_plain(expected: Any, value: object) -> bool:
    match expected:
        case None | types.NoneType:
            return value is None
        case builtin if builtin is bool:
            return isinstance(value, bool)
        case builtin if builtin is int:
            return isinstance(value, numbers.Integral) and not isinstance(value, bool)
        case builtin if builtin is float:
            return isinstance(value, numbers.Real) and not isinstance(value, bool)
        case type() if issubclass(expected, pathlib.PurePath):
            return isinstance(value, str | pathlib.PurePath)
        case type() if _is_tensor(expected):
            return isinstance(value, expected) or (isinstance(value, list | tuple) and _is_numeric(value))
        case type():
            try:
                return isinstance(value, expected)
            except TypeError:  # a protocol that cannot be checked
                return True
    return True


def _accepts_sequence(arguments: tuple[Any, ...], value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, collections.abc.Iterable):
        return False
    if not arguments or not isinstance(value, list | tuple):
        return True
    if len(arguments) > 1 and arguments[-1] is not Ellipsis:  # tuple[float, float]
        return len(value) == len(arguments) and all(map(accepts, arguments, value))
    return all(accepts(arguments[0], item) for item in value)


def _is_tensor(annotation: Any) -> bool:
    return (getattr(annotation, "__module__", None), getattr(annotation, "__name__", None)) == ("torch", "Tensor")


def takes_tensor(annotation: Any) -> bool:
    """Whether a list becomes a tensor: a tensor fits, and no sequence does."""
    is_union = typing.get_origin(annotation) in (Union, types.UnionType)
    members = typing.get_args(annotation) if is_union else (annotation,)
    return any(map(_is_tensor, members)) and not any(
        member in _SEQUENCES or typing.get_origin(member) in _SEQUENCES for member in members
    )


def _is_numeric(value: list[Any] | tuple[Any, ...]) -> bool:
    return all(_is_numeric(item) if isinstance(item, list | tuple) else accepts(float, item) for item in value)


def type_text(annotation: Any) -> str:
    """The annotation as a person would write it."""
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    text = str(annotation)
    for prefix in ("typing.", "collections.abc.", "pathlib.", "torch."):
        text = text.replace(prefix, "")
    return text.replace("NoneType", "None")
