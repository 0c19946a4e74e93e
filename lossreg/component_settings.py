"""Settings that name components or parameter groups: reading what a person wrote, and the checks."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, ClassVar

import attrs

from lossreg.errors import ConfigError
from lossreg.groups import NO_DECAY
from lossreg.names import normalize
from lossreg.settings import Check, Kind
from lossreg.spec import ComponentSpec
from lossreg.values import shown


def parsed(value: str | ComponentSpec | None) -> Any:
    """The spec of a text; any other value as it is, which the check looks at."""
    return ComponentSpec.parse(value) if isinstance(value, str) else value


def parsed_or_none(value: str | ComponentSpec | None) -> Any:
    """The same, with None for the word `none`."""
    return None if isinstance(value, str) and normalize(value) == "none" else parsed(value)


def all_parsed(value: str | ComponentSpec | Iterable[str | ComponentSpec] | None, name: str) -> Any:
    """One spec, or a list of them; nothing for None and for the word `none` alone."""
    if value is None:
        return ()
    if isinstance(value, Mapping) or not isinstance(value, str | ComponentSpec | Iterable):
        raise ConfigError(
            f"{name} is a list of spec texts such as 'name(key=value)', not {shown(value)}; write {name} = [...]"
        )
    given = (value,) if isinstance(value, str | ComponentSpec) else tuple(value)
    if len(given) == 1 and isinstance(given[0], str) and normalize(given[0]) == "none":
        return ()
    return tuple(map(parsed, given))


@attrs.frozen
class OneSpec(Check):
    """A component, or None where that is a default to be found later."""

    kind: ClassVar[Kind] = "component"

    optional: bool = False
    metavar: str | None = "SPEC"

    def check(self, name: str, value: Any) -> None:
        """Checks the type."""
        if not isinstance(value, ComponentSpec) and not (self.optional and value is None):
            raise ConfigError(f"{name} is a spec text such as 'name(key=value)', not {shown(value)}")


@attrs.frozen
class SeveralSpecs(Check):
    """Several components."""

    kind: ClassVar[Kind] = "components"

    optional: bool = True
    metavar: str | None = "SPEC"

    def check(self, name: str, value: Any) -> None:
        """Checks that each is one, and that none is there twice."""
        for place, one in enumerate(value):
            if not isinstance(one, ComponentSpec):
                raise ConfigError(
                    f"{name} is a list of spec texts such as 'name(key=value)'; {shown(one)} is not a spec text"
                )
            if one in value[:place]:
                raise ConfigError(f"{name}: {one.text} is given twice")


@attrs.frozen
class Groups(Check):
    """Parameter groups."""

    kind: ClassVar[Kind] = "groups"

    optional: bool = True
    metavar: str | None = "GROUP"

    def check(self, name: str, value: Any) -> None:
        """Their converter has checked them."""

    def schema(self) -> dict[str, Any]:
        """A table from patterns to options, or to an optimizer."""
        options = {"anyOf": [{"type": "string"}, {"type": "object"}, {"const": True}]}
        return {
            "type": "object",
            "properties": {NO_DECAY: {**options, "description": "No weight decay for biases and norms: true."}},
            "additionalProperties": options,
        }
