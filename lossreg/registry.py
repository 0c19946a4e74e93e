"""Registries: a name leads to a component."""

from __future__ import annotations

import functools
import importlib
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any, Generic, TypeVar

import attrs

from lossreg import plugins
from lossreg.components import KINDS, Component, Dataset, Loss, Model, Optimizer, Scheduler
from lossreg.errors import (
    AmbiguousNameError,
    ComponentError,
    ConfigError,
    PluginError,
    UnknownNameError,
)
from lossreg.local import is_same, load_local, local_provenance, registering_destination, registering_into
from lossreg.names import normalize
from lossreg.plugins import LOCAL, PluginReport, Provenance, check_names, hooks_of
from lossreg.registered import Registered
from lossreg.settings import PluginSettings, load_settings
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
        self.record_type = record_type
        self._owner = owner
        self._by_id: dict[str, Registered[C]] = {}
        self._by_name: dict[str, list[Registered[C]]] = {}
        self._warned: set[str] = set()

    def names(self) -> list[str]:
        """The name to write for each component, sorted: the short one where it resolves, else the full id."""
        self._owner.load()
        return sorted(map(self.short_name, self.registered))

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

        Registering the same function or class again (a notebook's cell that runs again) replaces it.

        Args:
            name: Its short name.
            factory: `"module:attribute"` instead of decorating.
            fields: The other fields of the record (`summary=`, `target=`, ...).

        Raises:
            ComponentError: If a field is wrong, or another function or class has the name already.

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
            doc = "" if factory is not None else (target.__doc__ or "").strip().partition("\n")[0]
            record = self.record_type(name, factory or target, **{"summary": doc, **fields})
            destination = registering_destination() or self._owner
            destination.of(self.kind).add(record, local_provenance(target))
            return target

        if factory is not None:
            add(factory)  # type: ignore[type-var]  # the record takes the text
        return add

    def add(self, record: C, provenance: Provenance) -> Registered[C]:
        """Adds a record.

        Raises:
            ComponentError: If the record is of another kind, or something else has its name in the same plugin.
        """
        if not isinstance(record, self.record_type):
            raise ComponentError(f"{record!r} is no lossreg.{self.record_type.__name__}")
        registered = Registered(record, provenance)
        known = self._by_id.get(registered.id)
        if known is not None and not is_same(known.record, record):
            raise ComponentError(
                f"{registered.id} is registered already ({known.provenance}); give this {self.kind} another name"
            )
        for name in (record.name, *record.aliases):
            others = [other for other in self._by_name.get(name, []) if other.id != registered.id]
            candidates = sorted([*others, registered], key=lambda r: (r.provenance.plugin != BUILTIN, r.id))
            self._by_name[name] = candidates
            self._by_id[f"{provenance.plugin}.{name}"] = registered
        return registered

    @property
    def registered(self) -> list[Registered[C]]:
        """All components so far, each once, by full id; loads nothing."""
        return sorted({r.id: r for r in self._by_id.values()}.values(), key=lambda r: r.id)

    def __getitem__(self, name: str) -> Registered[C]:
        found = self._candidates(name)
        if len(found) == 1:
            if found[0].record.deprecated is not None:
                self._warn_of_deprecation(found[0])
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
        return iter([registered.id for registered in self.registered])

    def __len__(self) -> int:
        self._owner.load()
        return len(self.registered)

    def __repr__(self) -> str:
        return f"<registry of {PLURALS[self.kind]}: {', '.join(r.id for r in self.registered) or 'empty'}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return getattr, (self._owner, PLURALS[self.kind])

    def _warn_of_deprecation(self, registered: Registered[C]) -> None:
        if registered.id not in self._warned:
            import logging

            self._warned.add(registered.id)
            text = f"{self.kind} {registered.id} is deprecated: {registered.record.deprecated}"
            logging.getLogger("lossreg").warning("%s", text)

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
        lines += [f"  {report.explanation}" for report in self._owner.reports if report.state != "loaded"]
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

    Args:
        settings: Which plugins may load; None is what the environment and the project's file say.

    Attributes:
        losses: Registry of losses.
        optimizers: Registry of optimizers.
        schedulers: Registry of learning-rate schedulers.
        models: Registry of models.
        datasets: Registry of data sets.
    """

    def __init__(self, settings: PluginSettings | None = None) -> None:
        self._settings = settings
        self._lock = threading.RLock()
        self._loaded = False
        self._loading = False
        self._reports: list[PluginReport] = []
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

    @functools.cached_property
    def manager(self) -> pluggy.PluginManager:
        """The pluggy manager that holds the plugins, for their run hooks."""
        return plugins.manager_of(self.reports)

    @property
    def settings(self) -> PluginSettings:
        """Which plugins may load.

        Raises:
            ConfigError: If the environment or the project's file is wrong.
        """
        if self._settings is None:
            self._settings = load_settings()
        return self._settings

    def configure(self, settings: PluginSettings) -> None:
        """Changes which plugins may load; before the first lookup.

        Raises:
            ConfigError: If the plugins are loaded already.
        """
        if self._loaded:
            raise ConfigError("the plugins are loaded already; load_registries(...) makes another set")
        self._settings = settings

    def load(self) -> None:
        """Loads the plugins unless they are loaded.

        Raises:
            InstallationError: If the built-in plugin is missing or broken.
            PluginError: If a local file or module cannot be loaded, or, with strict settings, any plugin.
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
        settings = self.settings
        self._reports = []
        for report in plugins.load_plugins(settings):
            self._take(report)
        check_names(settings, self._reports)
        for source in settings.local:
            known = {id(registered) for registered in self._local()}
            with registering_into(self):
                report = load_local(source)
            self._take(report)
            added = [registered for registered in self._local() if id(registered) not in known]
            for registered in added:
                if registered.provenance.file is None:  # a factory in text, which may be anybody's
                    registered.provenance = report.provenance
            if not added and not hooks_of(report.plugin):
                raise PluginError(f"-p {source}: it registers nothing and has no hook", plugin=source)
            self._reports[-1] = attrs.evolve(report, records=tuple(registered.record for registered in added))
        faults = [report.warning for report in self._reports if report.warning]
        if faults and settings.strict:
            raise PluginError("\n  ".join(["plugins are not as they should be (strict):", *faults]), plugin="")
        if faults:
            import logging  # a start without a warning need not wait for it

            for fault in faults:
                logging.getLogger("lossreg").warning("%s", fault)

    def _take(self, report: PluginReport) -> None:
        self._reports.append(report)
        for record in report.records:
            self.of(record.kind).add(record, report.provenance)

    def __reduce__(self) -> tuple[Any, ...]:
        # A spawned process has its own installation to look into; what this one registered goes along.
        if self is default:
            return _the_default, ()
        return _restored, (self.settings, [(r.record, r.provenance) for r in self._local()])

    def _local(self) -> list[Registered[Any]]:
        return [r for kind in KINDS for r in self.of(kind).registered if r.provenance.plugin == LOCAL]


def _the_default() -> Registries:
    return default


def _restored(settings: PluginSettings, local: list[tuple[Component, Provenance]]) -> Registries:
    registries = Registries(settings)
    for record, provenance in local:
        registries.of(record.kind).add(record, provenance)
    return registries


def load_registries(
    *, allow: Iterable[str] | None = None, block: Iterable[str] = (), strict: bool = False, local: Iterable[str] = ()
) -> Registries:
    """A set of registries of its own, scanned afresh: for embedding, tests and notebooks.

    It shares nothing with `lossreg.losses` and its siblings, and asks neither the environment nor a project's file.

    Args:
        allow: The only plugins (or distributions) to load besides the built-ins; None is all.
        block: Plugins (or distributions) not to load; they are not imported.
        strict: Whether a plugin that fails is an error instead of a warning.
        local: Python files and modules to load besides; their components are `local.<name>`.

    Raises:
        InstallationError: If the built-in plugin is missing or broken.
        PluginError: If a local file or module cannot be loaded, or, with strict, any plugin.

    Example:
        >>> builtins = load_registries(allow=[])
        >>> builtins.schedulers.names()
        ['lambda_lr']
    """
    importlib.invalidate_caches()  # a notebook sees what was just installed
    registries = Registries(PluginSettings(allow, block, strict, tuple(map(str, local))))
    registries.load()
    return registries


default = Registries()
losses = default.losses
optimizers = default.optimizers
schedulers = default.schedulers
models = default.models
datasets = default.datasets
