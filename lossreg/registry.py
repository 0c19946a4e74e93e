"""Registries: a name leads to a component."""

from __future__ import annotations

import importlib
import threading
from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from lossreg import plugins
from lossreg.components import KINDS, Component, Dataset, Loss, Model, Optimizer, Scheduler
from lossreg.errors import (
    AmbiguousNameError,
    ComponentError,
    UnknownNameError,
)
from lossreg.names import normalize
from lossreg.plugins import LOCAL, PluginReport, Provenance
from lossreg.registered import Registered
from lossreg.suggestions import close_matches, did_you_mean

if TYPE_CHECKING:
    import pluggy
    import torch

    from lossreg.data import Data
    from lossreg.spec import ComponentSpec

BUILTIN = "builtin"  # its components win over a plugin's of the same short name

C = TypeVar("C", bound=Component)
T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., Any])


class Registry(Mapping[str, Registered[C]], Generic[C, T]):
    """The components of one kind, by name.

    A name is a short name (`dice`) or a full id (`builtin.dice`); case, and `-` for `_`, do not matter. A short name
    resolves if the built-ins have it or exactly one plugin offers it. Iterating gives the full ids.

    Example:
        >>> import lossreg
        >>> lossreg.losses["Cross-Entropy"].id
        'builtin.cross_entropy'
        >>> lossreg.losses.build("l1(reduction='sum')")
        L1Loss()
        >>> lossreg.losses["dise"]
        Traceback (most recent call last):
        ...
        lossreg.errors.UnknownNameError: no loss named 'dise'. Did you mean 'dice'? \
Losses: cross_entropy, dice, l1, mse (lossreg list loss)
    """

    def __init__(self, record_type: type[C], owner: Registries) -> None:
        self.kind = record_type.kind
        self._record_type = record_type
        self._owner = owner
        self._by_id: dict[str, Registered[C]] = {}
        self._by_name: dict[str, list[Registered[C]]] = {}

    def names(self) -> list[str]:
        """The name to write for each component, sorted: the short one where it resolves, else the full id."""
        self._owner.load()
        return sorted(self.short_name(registered) for registered in self._by_id.values())

    def short_name(self, registered: Registered[C]) -> str:
        """The shortest name that resolves to this component."""
        candidates = self._by_name[registered.name]
        wins = len(candidates) == 1 or registered.provenance.plugin == BUILTIN
        return registered.name if wins else registered.id

    def build(self, spec: str | ComponentSpec, /, *args: Any, **params: Any) -> T:
        """Builds a component.

        Args:
            spec: A name, or a spec text such as `"dice(smooth=1)"`.
            args: What the kind's factory takes first: `model.parameters()` for an optimizer, the optimizer for a
                scheduler, nothing for the others.
            params: Further parameters; these may be any objects.

        Raises:
            UnknownNameError: If there is no such component.
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
        from lossreg import building  # listing names does without

        built: T = building.build(self, spec, args, params)
        return built

    def register(self, name: str, factory: str | None = None, **fields: Any) -> Callable[[F], F]:
        """Adds a component of this process, `local.<name>`; a decorator for its factory.

        Args:
            name: Its short name.
            factory: `"module:attribute"` instead of decorating.
            fields: The other fields of the record (`summary=`, `target=`, ...).

        Example:
            >>> import lossreg, torch
            >>> registries = lossreg.load_registries()
            >>> @registries.losses.register("huber", target="dense", summary="Squared near zero, absolute far away")
            ... class Huber(torch.nn.HuberLoss):
            ...     pass
            >>> registries.losses["huber"].id
            'local.huber'
        """

        def add(target: F) -> F:
            doc = (getattr(target, "__doc__", None) or "").strip().partition("\n")[0]
            record = self._record_type(name, factory or target, **{"summary": doc, **fields})
            self.add(record, Provenance(LOCAL))
            return target

        if factory is not None:
            add(factory)  # type: ignore[type-var]  # the record takes the text
        return add

    def add(self, record: C, provenance: Provenance) -> Registered[C]:
        """Adds a record; an equal id of this process is replaced (a notebook's cell that runs again).

        Raises:
            ComponentError: If the record is of another kind.
        """
        if not isinstance(record, self._record_type):
            raise ComponentError(f"{record!r} is no lossreg.{self._record_type.__name__}")
        registered = Registered(record, provenance)
        self._by_id[registered.id] = registered
        others = [other for other in self._by_name.get(record.name, []) if other.id != registered.id]
        self._by_name[record.name] = sorted([*others, registered], key=lambda r: (r.provenance.plugin != BUILTIN, r.id))
        return registered

    def __getitem__(self, name: str) -> Registered[C]:
        found = self._candidates(name)
        if len(found) == 1:
            return found[0]
        raise self._ambiguous(name, found) if found else self._unknown(name)

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and len(self._candidates(name)) == 1

    def _candidates(self, name: str) -> list[Registered[C]]:
        """What a name can mean: one component, none, or several plugins' where no built-in has the name."""
        self._owner.load()
        key = normalize(name)
        if key in self._by_id:
            return [self._by_id[key]]
        found = self._by_name.get(key, [])
        return found[:1] if found and found[0].provenance.plugin == BUILTIN else found

    def __iter__(self) -> Iterator[str]:
        self._owner.load()
        return iter(sorted(self._by_id))

    def __len__(self) -> int:
        self._owner.load()
        return len(self._by_id)

    def __repr__(self) -> str:
        return f"<registry of {PLURALS[self.kind]}: {', '.join(self._by_id) or 'empty'}>"

    def rivals(self, registered: Registered[C]) -> list[Registered[C]]:
        """The other components of the same short name."""
        return [other for other in self._by_name[registered.name] if other is not registered]

    def _ambiguous(self, name: str, candidates: list[Registered[C]]) -> AmbiguousNameError:
        offers = " and ".join(f"{c.id} ({c.provenance})" for c in candidates)
        return AmbiguousNameError(
            f"{name!r} is offered by {offers}. Write the full id.",
            kind=self.kind,
            name=name,
            candidates=tuple(c.id for c in candidates),
        )

    def _unknown(self, name: str) -> UnknownNameError:
        names = self.names()
        known = {*names, *self._by_id}
        shown = names if len(names) <= 20 else [*names[:20], f"... {len(names) - 20} more"]
        lines = [
            f"no {self.kind} named {name!r}.{did_you_mean(normalize(name), sorted(known))} "
            f"{PLURALS[self.kind].capitalize()}: {', '.join(shown) or 'none'} (lossreg list {self.kind})"
        ]
        lines += [
            f"  {kind} {name!r} exists; it is no {self.kind}"
            for kind in KINDS
            if kind != self.kind and name in self._owner.of(kind)
        ]
        lines += [f"  {report.warning}" for report in self._owner.reports if report.state == "failed"]
        return UnknownNameError(
            "\n".join(lines),
            kind=self.kind,
            name=name,
            suggestions=close_matches(normalize(name), sorted(known)),
        )


PLURALS: Mapping[str, str] = {kind: f"{kind}es" if kind.endswith("s") else f"{kind}s" for kind in KINDS}


class Registries:
    """Five registries and the plugins that filled them.

    Plugins are loaded when a name is first looked up, once, under a lock; registering a component never loads them.

    Attributes:
        losses: Registry of losses.
        optimizers: Registry of optimizers.
        schedulers: Registry of learning-rate schedulers.
        models: Registry of models.
        datasets: Registry of data sets.
    """

    def __init__(self) -> None:
        self._lock = threading.RLock()
        self._loaded = False
        self._loading = False
        self._reports: list[PluginReport] = []
        self._manager: pluggy.PluginManager | None = None
        self.losses: Registry[Loss, torch.nn.Module] = Registry(Loss, self)
        self.optimizers: Registry[Optimizer, torch.optim.Optimizer] = Registry(Optimizer, self)
        self.schedulers: Registry[Scheduler, torch.optim.lr_scheduler.LRScheduler] = Registry(Scheduler, self)
        self.models: Registry[Model, torch.nn.Module] = Registry(Model, self)
        self.datasets: Registry[Dataset, Data] = Registry(Dataset, self)

    def of(self, kind: str) -> Registry[Any, Any]:
        """The registry of a kind (`"loss"`)."""
        registry: Registry[Any, Any] = getattr(self, PLURALS[kind])
        return registry

    @property
    def reports(self) -> list[PluginReport]:
        """How the loading of each plugin went, in the order of loading."""
        self.load()
        return self._reports

    @property
    def manager(self) -> pluggy.PluginManager:
        """The pluggy manager that holds the plugins, for their run hooks."""
        self.load()
        assert self._manager is not None  # noqa: S101  # load() sets it
        return self._manager

    def load(self) -> None:
        """Loads the plugins unless they are loaded.

        Raises:
            InstallationError: If the built-in plugin is missing or broken.
        """
        if self._loaded:
            return
        with self._lock:
            # A plugin that looks something up while it is imported sees what is there so far.
            if self._loaded or self._loading:
                return
            self._loading = True
            try:
                self._discover()
                self._loaded = True
            finally:
                self._loading = False

    def _discover(self) -> None:
        self._manager = plugins.new_manager()
        self._reports = []
        for report in plugins.load_plugins(self._manager):
            self._reports.append(report)
            for record in report.records:
                self.of(record.kind).add(record, report.provenance)
            if report.warning:
                import logging  # a start without a warning need not wait for it

                logging.getLogger("lossreg").warning("%s", report.warning)


def load_registries() -> Registries:
    """A set of registries of its own, scanned afresh: for embedding, tests and notebooks.

    It shares nothing with `lossreg.losses` and its siblings.
    """
    importlib.invalidate_caches()  # a notebook sees what was just installed
    registries = Registries()
    registries.load()
    return registries


default = Registries()
losses = default.losses
optimizers = default.optimizers
schedulers = default.schedulers
models = default.models
datasets = default.datasets
