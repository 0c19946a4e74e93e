"""A registry: a name leads to a component of one kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar, overload

import attrs

from lossreg.component import KINDS, Component
from lossreg.component_table import ComponentTable
from lossreg.errors import ComponentError, UnknownNameError
from lossreg.names import normalize, plural, snake_case, with_article
from lossreg.plugins.local import local_provenance
from lossreg.plugins.provenance import BUILTIN, PluginReport, Provenance
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.index import Index
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
        self._index: Index[C] = Index(self.kind)
        self._warned: set[str] = set()

    def names(self) -> list[str]:
        """The name to write for each component, sorted: the short one where it resolves, else the full id."""
        self._owner.load()
        return sorted(map(self.short_name, self.entries))

    def short_name(self, entry: RegistryEntry[C]) -> str:
        """The shortest name that resolves to this component."""
        if entry.provenance.plugin == BUILTIN:
            return entry.name
        self._index.read_tables()
        return entry.name if len(self._index.named(entry.name)) == 1 else entry.id

    def resolves(self, word: str, entry: RegistryEntry[C]) -> bool:
        """Whether a short name or an alias leads to this component, without the name of its plugin."""
        self._index.read_tables()
        found = self._index.named(word)
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
        self._index.add(entry)
        return entry

    def _remove(self, full_id: str) -> None:
        """Takes a component away, with its aliases."""
        self._index.remove(full_id)

    def add_table(self, table: ComponentTable, provenance: Provenance) -> None:
        """Adds the components of a table, which is read when it is needed."""
        self._index.add_table(table, provenance)

    @property
    def changes(self) -> int:
        """How often components were added or taken away."""
        return self._index.changes

    @property
    def entries(self) -> list[RegistryEntry[C]]:
        """All components so far, each once, by full id; loads no plugin."""
        self._index.read_tables()
        return self._index.sorted(lambda _: True)

    @property
    def declared(self) -> list[RegistryEntry[C]]:
        """The same without those of tables; reads none."""
        return self._index.sorted(lambda entry: not entry.from_table)

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
                self._index.read_tables()
            if key in self._index.by_id:
                return [self._index.by_id[key]]
            found = self._index.named(key)
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
        known = [entry.id for entry in self.declared] + [
            f"the table of {whose.plugin}" for _, whose in self._index.tables
        ]
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
        return [other for other in self._index.named(entry.name) if other is not entry and not other.from_table]

    def same_name(self, entry: RegistryEntry[C]) -> list[RegistryEntry[C]]:
        """All other components of the same short name."""
        self._index.read_tables()
        return [other for other in self._index.named(entry.name) if other is not entry]

    def _leads_to(self, word: str) -> str | None:
        found = self._candidates(word)
        return found[0].id if len(found) == 1 else None

    def _unknown(self, name: str) -> UnknownNameError:
        from lossreg.registry.unknown import Known, unknown  # only errors need it

        listed = sorted(map(self.short_name, self.declared))
        words = {*self._index.by_id, *filter(self._index.by_name.get, self._index.by_name)}
        known = Known(self.kind, self.names(), listed, words, self._leads_to)
        other_kinds = [kind for kind in KINDS if kind != self.kind and name in self._owner.of(kind)]
        return unknown(known, name, other_kinds, self._owner.reports, self._owner.offered(self.kind, name))
