"""References in YAML of hydra, `${optimizer.lr}`: plain ones are replaced, others are named."""

from __future__ import annotations

import re
from typing import Any

from lossreg.conversion.result import Draft
from lossreg.errors import ConfigError
from lossreg.values import one_line

MOST = 20  # references that lead to one another
MOST_VALUES = 100_000  # with what references repeat
MOST_LEVELS = 100  # likewise
MISSING = "???"  # OmegaConf's word for a value that has to be given

_PLAIN = re.compile(r"\$\{\s*(\.*)([\w-]+(?:(?:\.[\w-]+)|(?:\[\w+\]))*)\s*\}", re.ASCII)


class Resolver:
    """A file with its references replaced.

    Only a value that is one plain reference as a whole is replaced: `${a.b}`, or `${.b}` and `${..b}`, which start from
    the table that they stand in or from one above. What holds anything else with `${` is left out, and named.

    Args:
        content: The file.
        draft: Where it is told what is left out.
    """

    def __init__(self, content: dict[str, Any], draft: Draft) -> None:
        self._content = content
        self._draft = draft
        self._inside: list[tuple[str, ...]] = []  # the tables that references led to, and that are being gone through
        self._values = 0
        self._level = 0

    def resolved(self) -> dict[str, Any]:
        """The content, with what the references lead to.

        Raises:
            ConfigError: If they repeat too much.
        """
        made = self._value(self._content, ())
        return made if isinstance(made, dict) else {}

    def _value(self, value: Any, path: tuple[str, ...]) -> Any:
        self._values += 1
        if self._values > MOST_VALUES:
            raise ConfigError(
                f"{one_line(_dotted(path))}: with what references repeat there are more than {MOST_VALUES:,} values"
            )
        if isinstance(value, dict | list):
            return self._each(value, path)
        if value == MISSING:
            self._draft.leave_out(f"{_dotted(path)}: it is ???, which is given when the program is started")
            return _LEFT
        return self._followed(value, path) if isinstance(value, str) and "${" in value else value

    def _each(self, value: dict[str, Any] | list[Any], path: tuple[str, ...]) -> Any:
        """A table or a list, without what is left out of it."""
        if self._level >= MOST_LEVELS:
            return self._left(path, f"with what references lead to it is nested more than {MOST_LEVELS} levels deep")
        self._level += 1
        pairs = value.items() if isinstance(value, dict) else enumerate(value)
        made = {str(key): self._value(one, (*path, str(key))) for key, one in pairs}
        self._level -= 1
        kept = {key: one for key, one in made.items() if one is not _LEFT}
        return kept if isinstance(value, dict) else list(kept.values())

    def _followed(self, written: str, path: tuple[str, ...]) -> Any:
        """What a reference leads to in the end."""
        value: Any = written
        at = path
        for _ in range(MOST):
            if isinstance(value, dict | list):
                return self._table(value, at, path)
            if not isinstance(value, str) or "${" not in value:
                return self._found(value, path)
            match = _PLAIN.fullmatch(value.strip())
            if match is None:
                return self._left(path, f"{value} is not a plain reference such as ${{a.b}}")
            at = self._target(match[1], match[2], at)
            found = _at(self._content, at)
            if found is _LEFT:
                return self._left(path, f"{value} leads to nothing in this file")
            value = found
        return self._left(path, f"{written} leads from one reference to another without an end")

    def _table(self, value: Any, at: tuple[str, ...], path: tuple[str, ...]) -> Any:
        """A table or a list that a reference led to."""
        if at == path[: len(at)] or at in self._inside:
            return self._left(path, f"${{{_dotted(at)}}} leads to what it stands in")
        self._inside.append(at)
        made = self._value(value, at)
        self._inside.pop()
        return made

    def _found(self, value: Any, path: tuple[str, ...]) -> Any:
        return self._left(path, "it is ???, which is given when the program is started") if value == MISSING else value

    @staticmethod
    def _target(dots: str, name: str, path: tuple[str, ...]) -> tuple[str, ...]:
        """The path that a reference means."""
        parts = tuple(re.findall(r"[\w-]+", name))
        return (*path[: len(path) - len(dots)], *parts) if dots else parts

    def _left(self, path: tuple[str, ...], why: str) -> Any:
        self._draft.leave_out(f"{_dotted(path)}: {why}")
        return _LEFT


_LEFT = object()


def _at(content: Any, path: tuple[str, ...]) -> Any:
    for part in path:
        if isinstance(content, dict) and part in content:
            content = content[part]
        elif isinstance(content, list) and part.isdecimal() and int(part) < len(content):
            content = content[int(part)]
        else:
            return _LEFT
    return content


def _dotted(path: tuple[str, ...]) -> str:
    return ".".join(path)
