"""What a factory takes: its parameters by inspection, and whether a value fits one."""

from __future__ import annotations

import collections.abc
import functools
import inspect
import numbers
import pathlib
import sys
import types
import typing
from collections.abc import Callable, Collection, Mapping
from typing import Any, Literal, Union

import attrs

from lossreg.errors import ParameterError, SpecError, UnknownParameterError
from lossreg.spec import ComponentSpec, Value, parse_value
from lossreg.suggestions import did_you_mean

MISSING: Any = inspect.Parameter.empty

_SEQUENCES = (tuple, list, collections.abc.Sequence, collections.abc.Iterable)


@attrs.frozen
class Parameter:
    """One parameter of a factory.

    Attributes:
        name: Its name.
        annotation: Its annotation, `MISSING` if there is none or it cannot be evaluated.
        default: The factory's own default, `MISSING` if it has none.
    """

    name: str
    annotation: Any
    default: Any

    @property
    def required(self) -> bool:
        """Whether the factory has no default for it."""
        return self.default is MISSING

    @property
    def type_text(self) -> str:
        """The annotation as one would write it, or an empty text."""
        return "" if self.annotation is MISSING else _type_text(self.annotation)

    def describe(self, default: Any = MISSING) -> str:
        """`name: type = default`, with another default than the factory's if one is given."""
        default = self.default if default is MISSING else default
        typed = f"{self.name}: {self.type_text}" if self.type_text else self.name
        if default is MISSING:
            return typed
        return f"{typed} = {default!r}" if self.type_text else f"{typed}={default!r}"

    @property
    def accepted(self) -> Any:
        """What is checked: the annotation, or what the default lets one infer."""
        if self.annotation is not MISSING:
            return self.annotation
        match self.default:
            case bool():
                return bool
            case int() | float():
                return float
            case str():
                return str
        return Any

    def fits(self, value: object) -> bool:
        """Whether a value fits; None does where it is the default."""
        return (value is None and self.default is None) or accepts(self.accepted, value)

    @functools.cached_property
    def plain_types(self) -> frozenset[type]:
        """The builtin types of which every value fits, so that most values need no further look."""
        # Values that no Literal lists.
        samples = (True, 982_451_653, 1.2345e-67, "\0")
        return frozenset(type(sample) for sample in samples if accepts(self.accepted, sample))

    def check(self, value: object, component: str) -> object:
        """Returns the value in the form that the factory takes.

        Raises:
            ParameterError: If the value does not fit the parameter's type.
        """
        if type(value) in self.plain_types:
            return value
        if not self.fits(value):
            hint = ""
            if isinstance(value, ComponentSpec) and self.fits(value.text):
                hint = f"; text is quoted: {self.name}={value.text!r}"
            typed = f"{self.name}: {self.type_text}" if self.type_text else f"a parameter like {self.describe()}"
            written = value.text if isinstance(value, ComponentSpec) else repr(value)
            raise ParameterError(
                f"{component}: {self.name}={written} does not fit {typed}{hint}",
                component=component,
                parameter=self.name,
            )
        if isinstance(value, tuple | list) and _takes_tensor(self.accepted):
            return self._tensor(value, component)
        return value

    def _tensor(self, value: tuple[Any, ...] | list[Any], component: str) -> object:
        torch = sys.modules["torch"]  # the annotation is torch's own class; this module must not import it
        try:
            return torch.tensor(value, dtype=torch.get_default_dtype())  # weights and the like, also from whole numbers
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ParameterError(
                f"{component}: {self.name}={value!r} is no tensor: {error}", component=component, parameter=self.name
            ) from error

    def read(self, text: str, component: str) -> Value:
        """Reads a value from a command line: a literal where one fits, else the text itself.

        Raises:
            ParameterError: If neither fits.
            SpecError: If the value is NaN.
        """
        takes_text = self.annotation is not MISSING and self.fits(text)
        try:
            value = parse_value(text)
        except SpecError:
            if takes_text:
                return text
            raise SpecError(
                f"{component}: {self.name}={text} holds NaN, which is no value of a parameter", text=text
            ) from None
        if takes_text and (isinstance(value, str | ComponentSpec) or not self.fits(value)):
            return text
        self.check(value, component)
        return value


@attrs.frozen
class Signature:
    """The parameters of a factory that a user may set.

    Attributes:
        parameters: Name -> parameter, in the factory's order.
        open: Whether the factory takes further keywords (`**kwargs`).
    """

    parameters: Mapping[str, Parameter]
    open: bool

    @functools.cached_property
    def required(self) -> frozenset[str]:
        """The parameters that the factory has no default for."""
        return frozenset(p.name for p in self.parameters.values() if p.required)

    @classmethod
    def of(cls, factory: Callable[..., Any], leading: int) -> Signature:
        """Inspects a factory.

        Args:
            factory: A class or function.
            leading: How many positional arguments come before the parameters.
        """
        try:
            signature = inspect.signature(factory, eval_str=True)
        except Exception:  # whatever evaluating an annotation raises: it may name what only a type checker imports
            try:
                signature = inspect.signature(factory)
            except (TypeError, ValueError):
                return cls({}, open=True)
        parameters: dict[str, Parameter] = {}
        takes_more = False
        for parameter in list(signature.parameters.values())[leading:]:
            if parameter.kind is parameter.VAR_KEYWORD:
                takes_more = True
            elif parameter.kind in (parameter.POSITIONAL_OR_KEYWORD, parameter.KEYWORD_ONLY):
                annotation = MISSING if isinstance(parameter.annotation, str) else parameter.annotation
                parameters[parameter.name] = Parameter(parameter.name, annotation, parameter.default)
        return cls(parameters, takes_more)

    def describe(self, component: str, defaults: Mapping[str, Any]) -> str:
        """`dice(smooth: float = 1e-05, reduction: str = 'mean')`, with these defaults over the factory's own."""
        shown = [p.describe(defaults.get(p.name, MISSING)) for p in self.parameters.values()]
        return f"{component}({', '.join([*shown, '...'] if self.open else shown)})"

    def find(self, name: str, component: str, defaults: Mapping[str, Any]) -> Parameter:
        """The parameter of this name.

        Raises:
            UnknownParameterError: If there is none.
        """
        found = self.parameters.get(name)
        if found is not None:
            return found
        if self.open:
            return Parameter(name, MISSING, MISSING)
        raise UnknownParameterError(
            f"{component} has no parameter {name!r}.{did_you_mean(name, self.parameters)} "
            + (self.describe(component, defaults) if self.parameters else "It takes none."),
            component=component,
            parameter=name,
        )

    def check_complete(self, given: Collection[str], component: str, defaults: Mapping[str, Any]) -> None:
        """Checks that every parameter without a default is given.

        Raises:
            UnknownParameterError: If one is missing.
        """
        if self.required.issubset(given):
            return
        missing = [name for name in self.parameters if name in self.required and name not in given]
        raise UnknownParameterError(
            f"{component} needs {' and '.join(missing)}. {self.describe(component, defaults)}",
            component=component,
            parameter=missing[0],
        )


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


def _takes_tensor(annotation: Any) -> bool:
    is_union = typing.get_origin(annotation) in (Union, types.UnionType)
    members = typing.get_args(annotation) if is_union else (annotation,)
    return any(map(_is_tensor, members)) and not any(
        member in _SEQUENCES or typing.get_origin(member) in _SEQUENCES for member in members
    )


def _is_numeric(value: list[Any] | tuple[Any, ...]) -> bool:
    return all(_is_numeric(item) if isinstance(item, list | tuple) else accepts(float, item) for item in value)


def _type_text(annotation: Any) -> str:
    if isinstance(annotation, type) and not typing.get_args(annotation):
        return annotation.__name__
    text = str(annotation)
    for prefix in ("typing.", "collections.abc.", "pathlib.", "torch."):
        text = text.replace(prefix, "")
    return text.replace("NoneType", "None")
