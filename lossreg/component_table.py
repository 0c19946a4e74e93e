"""Many components as data: a table of which a record is made only when its name is looked up."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

import attrs

from lossreg.component import Component
from lossreg.errors import ComponentError

#: Name -> the other fields of the record: `factory`, `summary`, `defaults` and so on, of plain values.
Rows = Mapping[str, Mapping[str, Any]]


@attrs.define(eq=False)
class Row:
    """One component of a table.

    Attributes:
        name: Its name.
        component_type: The class of its record.
        fields: What the record is made of.
    """

    name: str
    component_type: type[Component]
    fields: Mapping[str, Any]

    @property
    def kind(self) -> str:
        """The kind of the component."""
        return self.component_type.kind

    @property
    def aliases(self) -> tuple[str, ...]:
        """Further names that lead here."""
        return tuple(self.fields.get("aliases", ()))

    @property
    def summary(self) -> str:
        """One line that says what it is."""
        return str(self.fields.get("summary", ""))

    def make(self) -> Component:
        """The record; lists in its fields are tuples.

        Raises:
            ComponentError: If a field is wrong, or there is no such field.
        """
        try:
            return self.component_type(self.name, **{key: _frozen(value) for key, value in self.fields.items()})
        except TypeError as error:
            raise ComponentError(f"{self.component_type.kind} {self.name!r} is not a record: {error}") from error


@attrs.define(eq=False)
class ComponentTable:
    """What a hook may return in place of a list: components that are made when they are looked up.

    Hundreds of components that come from a file cost the time of reading it, and only when the kind is looked at.

    Attributes:
        component_type: The class of the records, such as `lossreg.Loss`.
        load: Gives the rows, for the version of the plugin's distribution. It is called when a name of the kind is
            listed, or looked up and not found among other components, once.

    Example:
        >>> from lossreg import Model
        >>> table = ComponentTable(Model, lambda version: {"tiny": {"factory": "my_models:Tiny", "summary": "Tiny"}})
        >>> table.rows("1.0")["tiny"].make().factory
        'my_models:Tiny'
    """

    component_type: type[Component]
    load: Callable[[str | None], Rows]
    _read: dict[str | None, Mapping[str, Row]] = attrs.field(factory=dict, init=False, repr=False)

    @property
    def kind(self) -> str:
        """The kind of its components."""
        return self.component_type.kind

    def rows(self, version: str | None) -> Mapping[str, Row]:
        """The rows by name.

        Args:
            version: The version of the plugin's distribution; None if that is not installed.
        """
        known = self._read.get(version)
        if known is None:
            kind = self.component_type
            known = {name: Row(name, kind, fields) for name, fields in self.load(version).items()}
            self._read[version] = known
        return known

    def components(self, version: str | None) -> Iterator[Component]:
        """All records, which are made for this."""
        return (row.make() for row in self.rows(version).values())


def _frozen(value: Any) -> Any:
    """JSON has lists where parameters are tuples."""
    if isinstance(value, list):
        return tuple(map(_frozen, value))
    if isinstance(value, dict):
        return {key: _frozen(item) for key, item in value.items()}
    return value
