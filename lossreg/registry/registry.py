"""A registry: a name leads to a component of one kind."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

import attrs

from lossreg.component_table import ComponentTable
from lossreg.components import KINDS, Component
from lossreg.errors import ComponentError, UnknownNameError, describe_error
from lossreg.names import normalize, plural, snake_case, with_article
from lossreg.plugins.local import is_same, local_provenance
from lossreg.plugins.provenance import BUILTIN, PluginReport, Provenance
from lossreg.registry.entry import RegistryEntry
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

if TYPE_CHECKING:
    from lossreg.spec import ComponentSpec

PLURALS: Mapping[str, str] = {kind: plural(kind) for kind in KINDS}

C = TypeVar("C", bound=Component)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Owner(Protocol):
    """What a registry needs of the set that it belongs to."""

    def load(self) -> None:
        """Loads the plugins unless they are loaded."""

    def of(self, kind: str) -> Registry[Any, Any]:
        """The registry of a kind."""

    def registering(self) -> Owner:
        """The set that a component is registered into: this one, or the one that a file is being loaded for."""

    def offered(self, kind: str, name: str) -> str | None:
        """What would have a name if it was installed, as a sentence; or None."""

    @property
    def reports(self) -> list[PluginReport]:
        """How the loading of each plugin went."""


class Registry(Mapping[str, RegistryEntry[C]], Generic[C, T]):
    """The components of one kind, by name.

    A name is a short name (`dice`) or a full id (`builtin.dice`); case, and `-` for `_`, do not matter. A short name
    resolves if the built-ins have it or exactly one plugin offers it. Iterating gives the full ids.

    Example:
        >>> import lossreg
        >>> lossreg.losses["Cross-Entropy"].id
        'builtin.cross_entropy'
        >>> lossreg.losses.build("l1(reduction='sum')")
        L1Loss()
        >>> lossreg.losses["dise"]  # doctest: +ELLIPSIS
        Traceback (most recent call last):
        ...
        lossreg.errors.UnknownNameError: no loss named 'dise'. Did you mean 'dice'? Losses: ... (lossreg list loss)
    """

    def __init__(self, component_type: type[C], owner: Owner) -> None:
        self.kind = component_type.kind
        self.component_type = component_type
        self._owner = owner
        self._by_id: dict[str, RegistryEntry[C]] = {}
        self._by_name: dict[str, list[RegistryEntry[C]]] = {}
        self._tables: list[tuple[ComponentTable, Provenance]] = []  # those that are not read yet
        self._lock = threading.RLock()  # under which tables are read, which may import modules
        self._changing = threading.RLock()  # under which nothing of others runs
        self._warned: set[str] = set()
        #: How often components were added or taken away, counted behind each: what a name led to at a number, it leads
        #: to as long as that is the same.
        self.changes = 0

    def names(self) -> list[str]:
        """The name to write for each component, sorted: the short one where it resolves, else the full id."""
        self._owner.load()
        return sorted(map(self.short_name, self.entries))

    def short_name(self, entry: RegistryEntry[C]) -> str:
        """The shortest name that resolves to this component."""
        if entry.provenance.plugin == BUILTIN:
            return entry.name
        self._read_tables()
        return entry.name if len(self._named(entry.name)) == 1 else entry.id

    def resolves(self, word: str, entry: RegistryEntry[C]) -> bool:
        """Whether a short name or an alias leads to this component, without the name of its plugin."""
        self._read_tables()
        found = self._named(word)
        return found[:1] == [entry] and (len(found) == 1 or entry.provenance.plugin == BUILTIN)

    def build(self, spec: str | ComponentSpec, /, *args: Any, **params: Any) -> T:
        """Builds a component.

        Args:
            spec: A name, or a spec text such as `"dice(smooth=1)"`.
            args: What the kind's factory takes first: `model.parameters()` for an optimizer, the optimizer for a
                scheduler, nothing for the others.
            params: Further parameters; these may be any objects.

        Raises:
            UnknownNameError: If the component does not exist.
            AmbiguousNameError: If several plugins offer the short name.
            UnknownParameterError: If a parameter is unknown, given twice, or missing.
            ParameterError: If a value does not fit its parameter.
            BuildError: If the factory fails.

        Example:
            >>> import lossreg, torch
            >>> weights = [torch.nn.Parameter(torch.zeros(2))]
            >>> lossreg.optimizers.build("sgd(momentum=0)", weights, lr=0.5).param_groups[0]["lr"]
            0.5
        """
        from lossreg.registry.build import build  # listing names does without

        built: T = build(self, spec, args, params)
        return built

    @overload
    def register(self, name: F, /) -> F: ...

    @overload
    def register(self, name: str | None = None, factory: str | None = None, **fields: Any) -> Callable[[F], F]: ...

    def register(self, name: Any = None, factory: str | None = None, **fields: Any) -> Any:
        """Adds a component of this process, `local.<name>`; a decorator for its factory, with or without arguments.

        Registering the same function or class again (a notebook's cell that runs again) replaces it.

        Args:
            name: Its short name; None is the factory's name in snake case without the kind (`DiceLoss` is `dice`).
            factory: `"module:attribute"` instead of decorating.
            fields: The other fields of the component (`summary=`, `target=`, ...). A loss without `target=` takes the
                targets of the data set as they are (`target="any"`).

        Raises:
            ComponentError: If a field is wrong or missing, or another function or class has the name already.

        Example:
            >>> import lossreg, torch
            >>> registries = lossreg.load_registries()
            >>> @registries.losses.register("half_mse", target="dense", summary="Half the squared error")
            ... class HalfMSE(torch.nn.MSELoss):
            ...     pass
            >>> registries.losses["half_mse"].id
            'local.half_mse'
            >>> @registries.losses.register
            ... def cubic_loss(input, target, scale: float = 1.0):
            ...     return scale * (input - target).abs().pow(3).mean()
            >>> registries.losses["cubic"].describe()
            'cubic(scale: float = 1.0)'
        """
        if name is not None and not isinstance(name, str):  # the decorator without parentheses
            return self._register(None, name, name, fields)
        if factory is not None:
            self._register(name or factory.rpartition(":")[2].rpartition(".")[2], factory, None, fields)
        return lambda target: self._register(name, factory or target, target, fields)

    def _register(self, name: str | None, factory: Any, target: Any, fields: Mapping[str, Any]) -> Any:
        """Adds a component, and returns what was decorated."""
        if not callable(factory) and not isinstance(factory, str):
            raise ComponentError(f"register decorates a class or a function, not {factory!r}; a name is text")
        name = name or snake_case(str(getattr(target, "__name__", "")), self.kind)
        doc = (getattr(target, "__doc__", None) or "").strip().partition("\n")[0] if factory is target else ""
        filled = {**self.component_type.registered_fields, "summary": doc, **fields}
        self._check_fields(name, filled)
        component = self.component_type(name, factory, **filled)
        self._owner.registering().of(self.kind).add(component, local_provenance(target))
        return target

    def _check_fields(self, name: str, fields: Mapping[str, Any]) -> None:
        known = {field.name: field for field in attrs.fields(self.component_type)}
        for given in fields:
            if given not in known or given in ("name", "factory"):
                hint = did_you_mean(given, sorted(known))
                raise ComponentError(f"{self.kind} {name!r} has no field {given!r}.{hint} Fields: {', '.join(known)}")
        for field in known.values():
            if field.default is attrs.NOTHING and field.name not in ("name", "factory", *fields):
                raise ComponentError(
                    f"{self.kind} {name!r} needs {field.name}=; write "
                    f"@lossreg.{PLURALS[self.kind]}.register({name!r}, {field.name}=...)"
                )

    def add(self, component: C, provenance: Provenance) -> RegistryEntry[C]:
        """Adds a component.

        Raises:
            ComponentError: If the component is of another kind, or another one has its name, or one of its aliases, in
                the same plugin.
        """
        if not isinstance(component, self.component_type):
            raise ComponentError(f"{component!r} is not a lossreg.{self.component_type.__name__}")
        entry = RegistryEntry(component, provenance)
        words = (component.name, *component.aliases)
        with self._changing:
            for word in words:
                known = self._by_id.get(f"{provenance.plugin}.{word}")
                if known is not None and not (known.id == entry.id and is_same(known.component, component)):
                    raise ComponentError(
                        f"{provenance.plugin}.{word} is registered already ({known.provenance}); give this {self.kind} "
                        f"another {'name' if word == component.name else 'alias'}"
                    )
            replaced = self._by_id.get(entry.id)
            for word in words:
                others = [one for one in self._by_name.get(word, []) if one is not replaced]
                self._by_name[word] = _ordered([*others, entry])
                self._by_id[f"{provenance.plugin}.{word}"] = entry
            self._forget(replaced, but=words)
            self.changes += 1
        return entry

    def _remove(self, full_id: str) -> None:
        """Takes a component away, with its aliases."""
        with self._changing:
            self._forget(self._by_id.get(full_id), but=())
            self.changes += 1

    def _forget(self, old: RegistryEntry[C] | None, but: Sequence[str]) -> None:
        """Has words lead no more to a component, but for some, which lead to another one by now."""
        if old is None:
            return
        for word in old.words:
            if word not in but and self._by_id.get(full_id := f"{old.provenance.plugin}.{word}") is old:
                del self._by_id[full_id]
                self._by_name[word] = [one for one in self._by_name[word] if one is not old]

    def add_table(self, table: ComponentTable, provenance: Provenance) -> None:
        """Adds the components of a table, which is read when it is needed."""
        self._tables.append((table, provenance))
        self.changes += 1

    def _read_tables(self) -> None:
        """Reads the tables that were not needed so far."""
        if not self._tables:
            return
        with self._lock:
            while self._tables:
                table, provenance = self._tables[0]
                try:
                    rows = table.rows(provenance.version).values()
                    with self._changing:
                        for row in rows:
                            self._add_row(RegistryEntry(row, provenance, from_table=True))
                except Exception as error:  # whatever a plugin does, the others go on
                    import logging

                    what = f"plugin {provenance.plugin!r} ({provenance}): its table of {PLURALS[self.kind]}"
                    logging.getLogger("lossreg").warning("%s cannot be read: %s", what, describe_error(error))
                del self._tables[0]
                self.changes += 1

    def _add_row(self, entry: RegistryEntry[C]) -> None:
        """Adds a component of a table; of two with one word the first has it."""
        for word in entry.words:
            full_id = f"{entry.provenance.plugin}.{word}"
            if full_id in self._by_id:
                continue
            self._by_id[full_id] = entry
            known = self._by_name.get(word)
            self._by_name[word] = [entry] if known is None else _ordered([*known, entry])

    @property
    def entries(self) -> list[RegistryEntry[C]]:
        """All components so far, each once, by full id; loads no plugin."""
        self._read_tables()
        return self._sorted(lambda _: True)

    @property
    def declared(self) -> list[RegistryEntry[C]]:
        """The same without those of tables; reads none."""
        return self._sorted(lambda entry: not entry.from_table)

    def _sorted(self, wanted: Callable[[RegistryEntry[C]], bool]) -> list[RegistryEntry[C]]:
        with self._changing:  # a dictionary must not change while it is walked
            found = {entry.id: entry for entry in self._by_id.values() if wanted(entry)}
        return sorted(found.values(), key=lambda entry: entry.id)

    def __getitem__(self, name: str) -> RegistryEntry[C]:
        if not isinstance(name, str):
            what = f"{with_article(self.kind)} is looked up by its name, a text, not by {shown(name)}"
            raise UnknownNameError(what, kind=self.kind, name=shown(name), suggestions=())
        found = self._candidates(name)
        if len(found) == 1:
            if found[0].component.deprecated is not None:
                self._warn_of_deprecation(found[0])
            return found[0]
        if not found:
            raise self._unknown(name)
        from lossreg.registry.unknown import ambiguous  # only errors need it

        raise ambiguous(self.kind, name, found)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and len(self._candidates(name)) == 1

    def _candidates(self, name: str) -> list[RegistryEntry[C]]:
        """What a name can mean: one component, none, or several plugins' where no built-in has the name."""
        self._owner.load()
        key = normalize(name)
        for reads in (False, True):  # a table is not read for what is found without it
            if reads:
                self._read_tables()
            if key in self._by_id:
                return [self._by_id[key]]
            found = self._named(key)
            if found and found[0].provenance.plugin == BUILTIN:
                return found[:1]
        return found

    def __iter__(self) -> Iterator[str]:
        self._owner.load()
        return iter([entry.id for entry in self.entries])

    def __len__(self) -> int:
        self._owner.load()
        return len(self.entries)

    def __repr__(self) -> str:
        known = [entry.id for entry in self.declared] + [f"the table of {whose.plugin}" for _, whose in self._tables]
        return f"<registry of {PLURALS[self.kind]}: {', '.join(known) or 'empty'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, PLURALS[self.kind])

    def _warn_of_deprecation(self, entry: RegistryEntry[C]) -> None:
        if entry.id not in self._warned:
            import logging

            self._warned.add(entry.id)
            text = f"{self.kind} {entry.id} is deprecated: {entry.component.deprecated}"
            logging.getLogger("lossreg").warning("%s", text)

    def rivals(self, entry: RegistryEntry[C]) -> list[RegistryEntry[C]]:
        """The other components of the same short name, without those of tables."""
        return [other for other in self._named(entry.name) if other is not entry and not other.from_table]

    def same_name(self, entry: RegistryEntry[C]) -> list[RegistryEntry[C]]:
        """All other components of the same short name."""
        self._read_tables()
        return [other for other in self._named(entry.name) if other is not entry]

    def _named(self, name: str) -> list[RegistryEntry[C]]:
        """Those that a short name can mean; an alias of a built-in gives way to a component of that name."""
        found = self._by_name.get(name, [])
        if found and found[0].provenance.plugin == BUILTIN and found[0].name != name:
            return [entry for entry in found if entry.name == name] or found
        return found

    def _unknown(self, name: str) -> UnknownNameError:
        from lossreg.registry.unknown import Known, unknown  # only errors need it

        listed = sorted(map(self.short_name, self.declared))
        words = {*self._by_id, *filter(self._by_name.get, self._by_name)}
        known = Known(self.kind, self.names(), listed, words)
        other_kinds = [kind for kind in KINDS if kind != self.kind and name in self._owner.of(kind)]
        return unknown(known, name, other_kinds, self._owner.reports, self._owner.offered(self.kind, name))


def _ordered(candidates: list[RegistryEntry[C]]) -> list[RegistryEntry[C]]:
    """Those of one word: a built-in first."""
    return sorted(candidates, key=lambda one: (one.provenance.plugin != BUILTIN, one.id))
