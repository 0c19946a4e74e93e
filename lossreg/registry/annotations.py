"""Annotations of parameters: whether a value fits one, and how it is written."""

from __future__ import annotations

import collections.abc
import enum
import inspect
import numbers
import pathlib
import sys
import types
import typing
from collections.abc import Mapping
from typing import Any, Literal, Union

from lossreg.names import normalize
from lossreg.spec import ComponentSpec
from lossreg.values import plain

MISSING: Any = inspect.Parameter.empty

_MAPPINGS = (dict, collections.abc.Mapping, collections.abc.MutableMapping)
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
    if origin in _MAPPINGS or expected in _MAPPINGS:
        return _accepts_mapping(arguments, value)
    if origin is collections.abc.Callable or expected is collections.abc.Callable:
        return callable(value)
    if isinstance(value, ComponentSpec):  # a nested spec becomes an object of its own
        return expected not in (bool, int, float, str, None, types.NoneType) and not _is_read_from_text(expected)
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
            return isinstance(plain(value), bool)
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


def _accepts_mapping(arguments: tuple[Any, ...], value: object) -> bool:
    if not isinstance(value, collections.abc.Mapping):
        return False
    if len(arguments) != 2:
        return True
    return all(accepts(arguments[0], key) and accepts(arguments[1], item) for key, item in value.items())


def _accepts_sequence(arguments: tuple[Any, ...], value: object) -> bool:
    if isinstance(value, str) or not isinstance(value, collections.abc.Iterable):
        return False
    if not arguments or not isinstance(value, list | tuple):
        return True
    if len(arguments) > 1 and arguments[-1] is not Ellipsis:  # tuple[float, float]
        return len(value) == len(arguments) and all(map(accepts, arguments, value))
    return all(accepts(arguments[0], item) for item in value)


def _is_torch(annotation: Any, name: str) -> bool:
    return (getattr(annotation, "__module__", None), getattr(annotation, "__name__", None)) == ("torch", name)


def _is_tensor(annotation: Any) -> bool:
    return _is_torch(annotation, "Tensor")


def _is_read_from_text(annotation: Any) -> bool:
    return isinstance(annotation, enum.EnumMeta) or any(
        _is_torch(annotation, name) for name in ("Tensor", "dtype", "device")
    )


def from_text(expected: Any, value: object) -> object:
    """The object that a value of a spec stands for: a member of an Enum, a torch.dtype or torch.device.

    Args:
        expected: The annotation; of a union, the first member that the value stands for.
        value: A text, a number, or a word that was read as a nested spec.

    Returns:
        The object, or `MISSING` if the value stands for none.
    """
    if typing.get_origin(expected) in (Union, types.UnionType):
        found = (from_text(argument, value) for argument in typing.get_args(expected))
        return next((one for one in found if one is not MISSING), MISSING)
    if typing.get_origin(expected) is typing.Annotated:
        return from_text(typing.get_args(expected)[0], value)
    if isinstance(value, ComponentSpec):
        if value.params or value.nested:
            return MISSING
        value = value.name
    if isinstance(expected, enum.EnumMeta):
        return _member(expected, value)
    if isinstance(value, str) and _is_torch(expected, "dtype"):
        # The annotation is torch's own class, so torch is loaded; this module must not load it.
        found = getattr(sys.modules["torch"], value.strip().removeprefix("torch."), MISSING)
        return found if isinstance(found, expected) else MISSING
    if isinstance(value, str) and _is_torch(expected, "device"):
        try:
            return expected(value.strip())
        except RuntimeError:
            return MISSING
    return MISSING


def words_of(expected: Any) -> list[str]:
    """The words that a value of an annotation can be, for completion; none where they are not few.

    Example:
        >>> words_of(Literal["mean", "sum"] | None), words_of(bool), words_of(float)
        (['mean', 'sum', 'none'], ['true', 'false'], [])
    """
    if typing.get_origin(expected) in (Union, types.UnionType):
        return [word for argument in typing.get_args(expected) for word in words_of(argument)]
    if typing.get_origin(expected) is Literal:
        return [
            str(argument).lower() if isinstance(argument, bool | None) else str(argument)
            for argument in typing.get_args(expected)
        ]
    if expected is bool:
        return ["true", "false"]
    return ["none"] if expected in (None, types.NoneType) else members_of(expected)


def members_of(expected: Any) -> list[str]:
    """The names of an Enum's members as they are written, also where it is one of several types."""
    if typing.get_origin(expected) in (Union, types.UnionType):
        return [word for argument in typing.get_args(expected) for word in members_of(argument)]
    return [name.lower() for name in expected.__members__] if isinstance(expected, enum.EnumMeta) else []


def _member(expected: enum.EnumMeta, value: object) -> object:
    """The member of an Enum by its value, by its name, or by either in any case."""
    members: list[Any] = list(expected)
    for member in members:
        if type(member.value) is type(value) and member.value == value:
            return member
    if not isinstance(value, str):
        return MISSING
    named: Mapping[str, Any] = expected.__members__
    word = normalize(value).rpartition(".")[2]  # of Mode.FAST, too
    by_name = [member for name, member in named.items() if normalize(name) == word]
    by_value = [one for one in members if isinstance(one.value, str) and normalize(one.value) == word]
    return next(iter([*(named[key] for key in (value,) if key in named), *by_name, *by_value]), MISSING)


def takes_tensor(annotation: Any) -> bool:
    """Whether a list becomes a tensor: a tensor fits, and no sequence does."""
    is_union = typing.get_origin(annotation) in (Union, types.UnionType)
    members = typing.get_args(annotation) if is_union else (annotation,)
    return any(map(_is_tensor, members)) and not any(
        member in _SEQUENCES or typing.get_origin(member) in _SEQUENCES for member in members
    )


def takes_path(annotation: Any) -> bool:
    """Whether a text is a path.

    Example:
        >>> takes_path(str | pathlib.Path | None), takes_path(str | None)
        (True, False)
    """
    if typing.get_origin(annotation) in (Union, types.UnionType):
        return any(map(takes_path, typing.get_args(annotation)))
    return isinstance(annotation, type) and issubclass(annotation, pathlib.PurePath)


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
