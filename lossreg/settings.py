"""Settings of a run: each is described once, with its default and its bounds, for `--help`, the docs and the checks."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from typing import Any, ClassVar, Literal

import attrs

from lossreg.errors import ConfigError
from lossreg.values import plain, shown

_KEY = "lossreg.setting"  # where attrs keeps the description of a field

Kind = Literal["component", "components", "whole", "number", "choice", "switch", "text", "groups"]


@attrs.frozen
class Setting:
    """What a person reads of a setting.

    Attributes:
        description: One sentence or more; the default is not in it.
        default: The default in words.
        flags: On the command line; the first is the usual one.
        kind: What its values are.
        metavar: What stands for a value in `--help`; None where the choices do.
        choices: The words of a choice.
        optional: Whether it may be None, which the word `none` is for in a text.
    """

    description: str
    default: str
    flags: tuple[str, ...]
    kind: Kind
    metavar: str | None
    choices: tuple[str, ...]
    optional: bool


def described(description: str, *flags: str, default: str | None = None) -> dict[str, Any]:
    """The metadata of an attrs field that is a setting.

    Args:
        description: One sentence or more, without the default.
        flags: On the command line; none is `--` and the field's name.
        default: The default in words, where it is not the value itself.
    """
    return {_KEY: (description, flags, default)}


def settings_of(cls: type[attrs.AttrsInstance]) -> Mapping[str, Setting]:
    """Field -> its description.

    Args:
        cls: A class whose fields have `described` as metadata, and a `Check` as validator.
    """
    found = {}
    for field in attrs.fields(cls):
        description, flags, default = field.metadata[_KEY]
        check: Check = field.validator
        found[field.name] = Setting(
            description,
            str(field.default) if default is None else default,
            flags or (f"--{field.name.replace('_', '-')}",),
            check.kind,
            check.metavar,
            check.choices,
            check.optional,
        )
    return found


def describe_settings(settings: Mapping[str, Setting]) -> str:
    """The section `Attributes` of a docstring."""
    rows = [f"    {name}: {one.description} Default: {one.default}." for name, one in settings.items()]
    return "\n".join(["Attributes:", *rows])


class Check:
    """The validator of a setting, and what it tells of the values that it lets pass."""

    kind: ClassVar[Kind]
    metavar: str | None = None
    choices: tuple[str, ...] = ()
    optional: bool = False

    def __call__(self, instance: Any, attribute: Any, value: Any) -> None:
        """As attrs calls a validator."""
        name = attribute.name
        try:
            self.check(name, value)
        except ConfigError as error:
            if error.message.startswith(f"{name} is "):  # with the option, by which the command line knows it
                flag = next(iter(attribute.metadata[_KEY][1]), f"--{name.replace('_', '-')}")
                error.message = f"{name} ({flag}){error.message.removeprefix(name)}"
            raise

    def check(self, name: str, value: Any) -> None:
        """Checks a value of the setting of this name.

        Raises:
            ConfigError: If it is wrong.
        """
        raise AssertionError("each kind of setting has a check of its own")

    def schema(self) -> dict[str, Any]:
        """The values other than None that a person may write, as JSON Schema: those that a converter takes as well."""
        return {}


@attrs.frozen
class Whole(Check):
    """A whole number within bounds; a Boolean is not one here."""

    kind: ClassVar[Kind] = "whole"

    lowest: int
    highest: int | None = None
    optional: bool = False
    metavar: str | None = "N"

    def check(self, name: str, value: Any) -> None:
        """Checks type and bounds."""
        if self.optional and value is None:
            return
        if not (is_whole(value) and self.lowest <= value <= (self.highest or value)):
            upto = f" and at most {self.highest}" if self.highest else ""
            raise ConfigError(f"{name} is a whole number of at least {self.lowest}{upto}, not {shown(value)}")

    def schema(self) -> dict[str, Any]:
        """Type and bounds."""
        highest = {} if self.highest is None else {"maximum": self.highest}
        return {"type": "integer", "minimum": self.lowest, **highest}


@attrs.frozen
class Positive(Check):
    """A finite number greater than 0, or None."""

    kind: ClassVar[Kind] = "number"

    optional: bool = True
    metavar: str | None = "X"

    def check(self, name: str, value: Any) -> None:
        """Checks type and sign."""
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        if value is not None and not (is_number and 0 < value <= sys.float_info.max):  # a whole number can be greater
            raise ConfigError(f"{name} is a finite number greater than 0, not {shown(value)}")

    def schema(self) -> dict[str, Any]:
        """Type and sign."""
        return {"type": "number", "exclusiveMinimum": 0}


@attrs.frozen
class OneOf(Check):
    """One of some words."""

    kind: ClassVar[Kind] = "choice"

    choices: tuple[str, ...]
    optional: bool = False

    def check(self, name: str, value: Any) -> None:
        """Checks that it is one of the words."""
        if self.optional and value is None:
            return
        if not (isinstance(value, str) and value in self.choices):
            *first, last = map(repr, self.choices)
            raise ConfigError(f"{name} is {', '.join(first)} or {last}, not {shown(value)}")

    def schema(self) -> dict[str, Any]:
        """The words; one of digits may be a number as well."""
        return {"enum": [*self.choices, *(int(word) for word in self.choices if word.isdigit())]}


@attrs.frozen
class Switch(Check):
    """True or false."""

    kind: ClassVar[Kind] = "switch"

    def check(self, name: str, value: Any) -> None:
        """Checks the type."""
        if not isinstance(value, bool):
            raise ConfigError(f"{name} is true or false, not {shown(value)}")

    def schema(self) -> dict[str, Any]:
        """The type."""
        return {"type": "boolean"}


@attrs.frozen
class Text(Check):
    """Any text; `several` says that its converter makes one of a list, too."""

    kind: ClassVar[Kind] = "text"

    metavar: str | None
    optional: bool = False
    several: bool = False

    def check(self, name: str, value: Any) -> None:
        """Checks the type."""
        if not isinstance(value, str) and not (self.optional and value is None):
            raise ConfigError(f"{name} is text, not {shown(value)}")

    def schema(self) -> dict[str, Any]:
        """The type."""
        text = {"type": "string"}
        return {"anyOf": [text, {"type": "array", "items": text}]} if self.several else text


def any_case(word: str) -> str:
    """A pattern that fits a word in any case, for regular expressions that have no flags.

    Example:
        >>> any_case("10m")
        '10[mM]'
    """
    return "".join(f"[{sign}{sign.upper()}]" if sign.isalpha() else sign for sign in word.lower())


@attrs.frozen
class PathText(Text):
    """A path, which is not empty: an empty one would stand for the working directory."""

    def check(self, name: str, value: Any) -> None:
        """Checks type and content."""
        super().check(name, value)
        if value == "":
            raise ConfigError(f"{name} is empty; name a path, or leave it out")


def plain_or_none(value: object) -> Any:
    """A value of a setting that may be None: a number as Python's own, and None for the word `none`."""
    if isinstance(value, str) and value.strip().lower() == "none":
        return None
    return plain(value)


def is_whole(value: object) -> bool:
    """Whether a value is a whole number; a Boolean is not one here."""
    return isinstance(value, int) and not isinstance(value, bool)
