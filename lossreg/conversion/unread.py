"""What is not known of a Python file that is never run: values that are no literals, and what statements may change."""

from __future__ import annotations

from typing import Any

import attrs


@attrs.frozen
class Unread:
    """A value that is not a literal.

    Attributes:
        line: Where it stands.
        text: What is written there.
        where: The file.
    """

    line: int
    text: str
    where: str

    def __str__(self) -> str:
        return f"{self.where}, line {self.line}: {self.text} is not a literal"


@attrs.frozen
class Changed(Unread):
    """A value that was known up to a statement that may change it."""

    @classmethod
    def by(cls, statement: Unread) -> Changed:
        """One that what stands there may change."""
        return cls(statement.line, statement.text, statement.where)

    def __str__(self) -> str:
        return f"{self.where}, line {self.line}: {self.text} may change it, which is not read"


@attrs.define
class Changes:
    """The lists and tables that are not known any more, by identity: several names may have them, or tables hold them.

    Attributes:
        _instead: Identity -> the value, which keeps it from being used again, and what stands for it.
    """

    _instead: dict[int, tuple[Any, Any]] = attrs.field(factory=dict, init=False)

    def add(self, value: Any, why: Unread) -> None:
        """Forgets a value with all that is in it, unless nothing can change it."""
        left = [value]
        while left:
            one = left.pop()
            if not isinstance(one, dict | list | tuple) or id(one) in self._instead:
                continue
            # What is in a tuple may change, and the tuple itself not; it is here in order to be gone through once.
            self._instead[id(one)] = (one, one if isinstance(one, tuple) else why)
            left += one.values() if isinstance(one, dict) else one

    def known(self, value: Any) -> Any:
        """A value, or the reason why it is not known any more."""
        return self._instead.get(id(value), (None, value))[1]

    def cleared(self, value: Any) -> Any:
        """A value with the reason in the place of each part that is not known any more; tables change in place."""
        value = self.known(value)
        if isinstance(value, dict):
            value.update({key: self.cleared(inner) for key, inner in value.items()})
        elif isinstance(value, list):
            value[:] = [self.cleared(inner) for inner in value]
        elif isinstance(value, tuple):
            return tuple(self.cleared(inner) for inner in value)
        return value
