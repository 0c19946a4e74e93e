"""The words that lead to the components of one kind: full ids, names and aliases, and tables that are not read yet."""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Generic, TypeVar

from lossreg.component import Component
from lossreg.component_table import ComponentTable
from lossreg.errors import ComponentError, describe_error
from lossreg.names import plural
from lossreg.plugins.local import is_same
from lossreg.plugins.provenance import BUILTIN, Provenance
from lossreg.registry.entry import RegistryEntry

C = TypeVar("C", bound=Component)


class Index(Generic[C]):
    """Which word leads to which component.

    Attributes:
        by_id: Full id, of names and of aliases, -> the component.
        by_name: Short name or alias -> the components that have it, a built-in first.
        tables: Those that are not read yet.
        changes: How often components were added or taken away, counted behind each: what a word led to at a number, it
            leads to as long as that is the same.
    """

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.by_id: dict[str, RegistryEntry[C]] = {}
        self.by_name: dict[str, list[RegistryEntry[C]]] = {}
        self.changes = 0
        self.tables: list[tuple[ComponentTable, Provenance]] = []
        self._lock = threading.RLock()  # under which tables are read, which may import modules
        self._changing = threading.RLock()  # under which nothing of others runs

    def add(self, entry: RegistryEntry[C]) -> None:
        """Adds a component.

        Raises:
            ComponentError: If another one has its name, or one of its aliases, in the same plugin.
        """
        component, provenance = entry.component, entry.provenance
        words = (component.name, *component.aliases)
        with self._changing:
            for word in words:
                known = self.by_id.get(f"{provenance.plugin}.{word}")
                if known is not None and not (known.id == entry.id and is_same(known.component, component)):
                    raise ComponentError(
                        f"{provenance.plugin}.{word} is registered already ({known.provenance}); give this {self.kind} "
                        f"another {'name' if word == component.name else 'alias'}"
                    )
            replaced = self.by_id.get(entry.id)
            for word in words:
                others = [one for one in self.by_name.get(word, []) if one is not replaced]
                self.by_name[word] = _ordered([*others, entry])
                self.by_id[f"{provenance.plugin}.{word}"] = entry
            self._forget(replaced, but=words)
            self.changes += 1

    def remove(self, full_id: str) -> None:
        """Takes a component away, with its aliases."""
        with self._changing:
            self._forget(self.by_id.get(full_id), but=())
            self.changes += 1

    def _forget(self, old: RegistryEntry[C] | None, but: Sequence[str]) -> None:
        """Has words lead no more to a component, but for some, which lead to another one by now."""
        if old is None:
            return
        for word in old.words:
            if word not in but and self.by_id.get(full_id := f"{old.provenance.plugin}.{word}") is old:
                del self.by_id[full_id]
                self.by_name[word] = [one for one in self.by_name[word] if one is not old]

    def add_table(self, table: ComponentTable, provenance: Provenance) -> None:
        """Adds the components of a table, which is read when it is needed."""
        with self._changing:
            self.tables.append((table, provenance))
            self.changes += 1

    def read_tables(self) -> None:
        """Reads the tables that were not needed so far."""
        if not self.tables:
            return
        with self._lock:
            while self.tables:
                table, provenance = self.tables[0]
                try:
                    rows = table.rows(provenance.version).values()
                    with self._changing:
                        for row in rows:
                            self._add_row(RegistryEntry(row, provenance, from_table=True))
                except Exception as error:  # whatever a plugin does, the others go on
                    import logging

                    what = f"plugin {provenance.plugin!r} ({provenance}): its table of {plural(self.kind)}"
                    logging.getLogger("lossreg").warning("%s cannot be read: %s", what, describe_error(error))
                with self._changing:
                    del self.tables[0]
                    self.changes += 1

    def _add_row(self, entry: RegistryEntry[C]) -> None:
        """Adds a component of a table; of two with one word the first has it."""
        for word in entry.words:
            full_id = f"{entry.provenance.plugin}.{word}"
            if full_id in self.by_id:
                continue
            self.by_id[full_id] = entry
            known = self.by_name.get(word)
            self.by_name[word] = [entry] if known is None else _ordered([*known, entry])

    def sorted(self, wanted: Callable[[RegistryEntry[C]], bool]) -> list[RegistryEntry[C]]:
        """The components so far that are wanted, each once, by full id; reads no table."""
        with self._changing:  # a dictionary must not change while it is walked
            found = {entry.id: entry for entry in self.by_id.values() if wanted(entry)}
        return sorted(found.values(), key=lambda entry: entry.id)

    def named(self, name: str) -> list[RegistryEntry[C]]:
        """Those that a short name can mean; an alias of a built-in gives way to a component of that name.

        It does not give way to a row of a table, which may not have been read yet: the name would then mean another
        component in the middle of a process.
        """
        found = self.by_name.get(name, [])
        if found and found[0].provenance.plugin == BUILTIN and found[0].name != name:
            return [entry for entry in found if entry.name == name and not entry.from_table] or found
        return found


def _ordered(candidates: list[RegistryEntry[C]]) -> list[RegistryEntry[C]]:
    """Those of one word: a built-in first."""
    return sorted(candidates, key=lambda one: (one.provenance.plugin != BUILTIN, one.id))
