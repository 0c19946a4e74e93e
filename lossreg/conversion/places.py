"""A table of a file, and where it stands: what is read of it, and what is named because it is not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.conversion.quoted import READ_AS_NUMBER, unquoted
from lossreg.conversion.result import Draft
from lossreg.conversion.unread import Unread
from lossreg.values import shown


@attrs.define
class Place:
    """A table of a configuration.

    Attributes:
        table: Its keys and values.
        path: Where it stands, `optim_wrapper.optimizer`; nothing for the whole file.
        draft: Where it is said what is left out.
    """

    table: Mapping[str, Any]
    path: str
    draft: Draft
    _taken: set[str] = attrs.field(factory=set, init=False)

    def at(self, key: str) -> str:
        """Where a value of it stands."""
        return f"{self.path}.{key}" if self.path else str(key)

    def get(self, key: str, *kinds: type) -> Any:
        """A value of one of the kinds; None if there is none, or one of another kind, which is said.

        A Boolean is no number; a text that is a number is one where no text is asked for, which is said, too.
        """
        self._taken.add(key)
        value = self.table.get(key)
        if value is None:
            return None
        if isinstance(value, kinds) and (not isinstance(value, bool) or bool in kinds):
            return value
        number = unquoted(value) if isinstance(value, str) else None
        if isinstance(number, kinds):
            self.draft.note(f"{self.at(key)}: {shown(value)} {READ_AS_NUMBER}")
            return number
        self.leave_out(
            key, str(value) if isinstance(value, Unread) else f"{shown(value)} is not of a form that is read"
        )
        return None

    def whole(self, key: str, least: int = 1) -> int | None:
        """A whole number, which other programs may write as 5.0; None as for `get`."""
        value = self.get(key, int, float)
        if value is None:
            return None
        if not (abs(value) < 2**63 and value == int(value)):
            self.leave_out(key, f"{shown(value)} is not a whole number")
            return None
        if value < least:
            self.leave_out(key, f"{shown(value)} is less than {least}")
            return None
        return int(value)

    def inner(self, key: str) -> Place | None:
        """A table in it; None as for `get`."""
        value = self.get(key, Mapping)
        return None if value is None else Place(value, self.at(key), self.draft)

    def take(self, *keys: str) -> None:
        """Counts keys as read."""
        self._taken.update(keys)

    def rest(self) -> dict[str, Any]:
        """What was not read so far; keys that begin with `_` are notes of a program to itself."""
        return {
            key: value
            for key, value in self.table.items()
            if key not in self._taken and not str(key).startswith("_") and value is not None
        }

    def arguments(self) -> dict[str, Any]:
        """What was not read so far, as arguments of a class; those that are no literals are said."""
        arguments = self.rest()
        for key, value in list(arguments.items()):
            parts = value if isinstance(value, list | tuple) else [value]
            unread = next((one for one in parts if isinstance(one, Unread)), None)
            if unread is not None:
                self.leave_out(key, str(unread))
                del arguments[key]
        return arguments

    def leave_out(self, key: str, why: str) -> None:
        """Says that a value of it is not carried over."""
        self.draft.leave_out(f"{self.at(key)}: {why}")

    def leave_out_rest(self, why: str = "lossreg does not read it") -> None:
        """Says so of all that was not read."""
        for key, value in self.rest().items():
            self.leave_out(key, str(value) if isinstance(value, Unread) else why)
