"""The tables of a YAML of hydra."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lossreg.conversion.hydra.keys import KEYS
from lossreg.names import normalize


@attrs.frozen
class Node:
    """A table of the file.

    Attributes:
        path: Its keys, with dots between them; empty for the whole file.
        content: What is in it, with references replaced.
        around: What is in the table that it stands in.
    """

    path: str
    content: dict[str, Any]
    around: Mapping[str, Any] = {}

    @property
    def key(self) -> str:
        """Its own key."""
        return normalize(self.path.rpartition(".")[2])

    def beside(self, word: str) -> Any:
        """What is said of it beside it, such as `interval` or `scheduler_interval`; None if nothing is."""
        found = {normalize(key): value for key, value in self.around.items()}
        for table in (found, *(found.get(f"{own}_config") for own in KEYS["scheduler"])):
            for key in (word, *(f"{own}_{word}" for own in KEYS["scheduler"])):
                if isinstance(table, Mapping) and isinstance(table.get(key), str | int | float):
                    return table[key]
        return None


def nodes_of(node: Node) -> Iterator[Node]:
    """A table and the tables in it, but for those within a component."""
    yield node
    for key, value in node.content.items():
        if isinstance(value, dict):
            path = f"{node.path}.{key}" if node.path else key
            yield from nodes_of(Node(path, {str(inner): one for inner, one in value.items()}, node.content))
