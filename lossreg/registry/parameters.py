"""One parameter of a factory: whether a value fits it, and reading one from text."""

from __future__ import annotations

import functools
import sys
import typing
from typing import Any

import attrs

from lossreg.errors import ParameterError, SpecError
from lossreg.registry.annotations import (
    MISSING,
    accepts,
    from_text,
    members_of,
    plain_types,
    takes_path,
    takes_tensor,
    type_text,
)
from lossreg.spec import ComponentSpec, Table, Value, holds_spec, thawed, value_text
from lossreg.spec_hints import RANGES, RangeError, a_range
from lossreg.spec_text import parse_value
from lossreg.values import decimal_comma_hint, shortened, shown


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
        return "" if self.annotation is MISSING else type_text(self.annotation)

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

    @property
    def takes_maker(self) -> bool:
        """Whether it is annotated as a class, `type[Optimizer]`, and as nothing else."""
        return typing.get_origin(self.annotation) is type

    def fits(self, value: object) -> bool:
        """Whether a value fits; None does where it is the default."""
        try:
            return (value is None and self.default is None) or accepts(self.accepted, value)
        except RecursionError:  # a list that holds itself
            return False

    @property
    def _has_number(self) -> bool:
        return isinstance(self.default, int | float) and not isinstance(self.default, bool)

    @property
    def _is_one_number(self) -> bool:
        """Whether a list makes no tensor although tensors fit: torch's `lr: float | Tensor = 0.001` is one number."""
        return self._has_number and takes_tensor(self.accepted)

    @functools.cached_property
    def plain_types(self) -> frozenset[type]:
        """The builtin types of which every value fits, so that most values need no further look."""
        types = plain_types(self.accepted)
        return types - {str} if takes_path(self.accepted) else types  # an empty text is not a path

    def check(self, value: object, component: str) -> object:
        """Returns the value in the form that the factory takes.

        Raises:
            ParameterError: If the value does not fit the parameter's type.
        """
        if type(value) in self.plain_types:
            return value
        if isinstance(value, Table | tuple):
            value = thawed(value)
        fits = self.fits(value)
        if not fits or isinstance(value, ComponentSpec):
            meant = from_text(self.accepted, value)
            if meant is not MISSING:
                return meant
        if not fits or (isinstance(value, tuple | list) and self._is_one_number):
            raise self._does_not_fit(value, component)
        if isinstance(value, str) and not value.strip() and takes_path(self.accepted):
            otherwise = "" if self.required else f", or leave {self.name} out"
            raise ParameterError(
                f"{component}: {self.name}={value!r} is empty; name a file or folder{otherwise}",
                component=component,
                parameter=self.name,
            )
        if isinstance(value, tuple | list) and takes_tensor(self.accepted):
            return self._tensor(value, component)
        return value

    @property
    def _typed(self) -> str:
        return f"{self.name}: {self.type_text}" if self.type_text else f"a parameter like {self.describe()}"

    def _does_not_fit(self, value: object, component: str) -> ParameterError:
        typed = self._typed
        written = _written(value)
        if isinstance(value, tuple | list) and self._has_number:
            return ParameterError(
                f"{component}: {self.name}={written} is a list; one number belongs there ({typed})",
                component=component,
                parameter=self.name,
            )
        members = members_of(self.accepted)
        allowed = f"; it is one of {', '.join(members)}" if members else ""
        return ParameterError(
            f"{component}: {self.name}={written} does not fit {typed}{allowed}{self._quoting(value)}",
            component=component,
            parameter=self.name,
        )

    def _quoting(self, value: object) -> str:
        """What to write where a bare word was meant as text, or one value for a list, as the end of a message."""
        if isinstance(value, str | int | float) and not isinstance(value, bool) and self.fits([value]):
            return f"; a list belongs there: {self.name}={_written((value,))}"
        word = value.name if isinstance(value, ComponentSpec) else str(value).partition("(")[0].strip()
        if word in RANGES:
            return f"; a range of a search is for lossreg.adapters.optuna, and is written {RANGES[word]} without quotes"
        text = _as_text(value)
        if text == value or not self.fits(text):
            return ""
        return f"; text is quoted: {self.name}={shortened(value_text(text))}"

    def _tensor(self, value: tuple[Any, ...] | list[Any], component: str) -> object:
        torch = sys.modules["torch"]  # the annotation is torch's own class; this module must not import it
        try:
            return torch.tensor(value, dtype=torch.get_default_dtype())  # weights and the like, also from whole numbers
        except (TypeError, ValueError, RuntimeError, OverflowError) as error:
            raise ParameterError(
                f"{component}: {self.name}={shown(value)} is not a tensor: {error}",
                component=component,
                parameter=self.name,
            ) from error

    def read(self, text: str, component: str) -> Value:
        """Reads a value from a command line: a literal where one fits, else the text itself.

        Raises:
            ParameterError: If neither fits.
            SpecError: If the value is NaN, or a range of a search.
        """
        self._refuse_decimal_comma(text, component)
        takes_text = self.annotation is not MISSING and self.fits(text)
        try:
            value = parse_value(text)
        except SpecError as error:
            if takes_text:
                return text
            if isinstance(error, RangeError):
                raise a_range(f"{self.name}={text.strip()}", text, component) from None
            raise SpecError(
                f"{component}: {self.name}={shortened(text)} holds NaN, which is not a value of a parameter", text=text
            ) from None
        if takes_text and (isinstance(value, str | ComponentSpec) or not self.fits(value)):
            return text
        self.check(value, component)
        return value

    def _refuse_decimal_comma(self, text: str, component: str) -> None:
        """Checks that a number is not written with a decimal comma, which would make two of it."""
        hint = decimal_comma_hint(text)
        if not hint or not self.fits(1.5) or self.fits(text) or (self.fits((1.5, 1.5)) and not self._is_one_number):
            return
        raise ParameterError(
            f"{component}: {self.name}={text} does not fit {self._typed}{hint}",
            component=component,
            parameter=self.name,
        )


def _written(value: Any) -> str:
    """A value for a message, as it is written in a spec."""
    if isinstance(value, tuple) and not holds_spec(value):
        return shortened(f"[{', '.join(map(shown, value))}]")
    return shortened(value_text(value)) if holds_spec(value) else shown(value)


def _as_text(value: object) -> Any:
    """A value with each word that was read as something else, or as a nested spec, as a text."""
    match value:
        case None | bool():
            return str(value).lower()
        case ComponentSpec():
            return value.text
        case tuple():
            return tuple(map(_as_text, value))
    return value
