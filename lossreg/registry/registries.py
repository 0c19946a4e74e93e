"""The registries of all kinds, and the plugins that fill them when a name is first looked up."""

from __future__ import annotations

import contextlib
import contextvars
import importlib
import os
from collections.abc import Iterable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.component import KINDS, Component
from lossreg.components import Dataset, Loss, Metric, Model, Observer, Optimizer, Scheduler
from lossreg.errors import ConfigError, PluginError
from lossreg.names import canonical
from lossreg.plugins.checks import hooks_of
from lossreg.plugins.loader import check_settings, load_plugins
from lossreg.plugins.local import load_local, nothing_in
from lossreg.plugins.manager import manager_of
from lossreg.plugins.plugin_settings import PluginSettings, load_settings
from lossreg.plugins.provenance import LOCAL, PluginReport, Provenance
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.loading_lock import LoadingLock
from lossreg.registry.registry import PLURALS, Registry
from lossreg.values import shown

if TYPE_CHECKING:
    import pluggy
    import torch

    from lossreg.data import Data

_destination: contextvars.ContextVar[Registries | None] = contextvars.ContextVar("lossreg_destination", default=None)


@contextlib.contextmanager
def _registering_into(registries: Registries) -> Iterator[None]:
    """While a file is loaded for a set of registries, `@lossreg.losses.register` in it adds to that set."""
    token = _destination.set(registries)
    try:
        yield
    finally:
        _destination.reset(token)


class Registries:
    """A registry of each kind and the plugins that filled them.

    Plugins are loaded when a name is first looked up, once, under a lock; registering a component never loads them.

    Args:
        settings: Which plugins may load; None is what the environment and the project's file say.

    Attributes:
        losses: Registry of losses.
        optimizers: Registry of optimizers.
        schedulers: Registry of learning-rate schedulers.
        models: Registry of models.
        datasets: Registry of data sets.
        metrics: Registry of metrics.
        observers: Registry of observers.
    """

    def __init__(self, settings: PluginSettings | None = None) -> None:
        self._settings = settings
        self._lock = LoadingLock()
        self._loaded = False
        self._loading = False
        self._reports: list[PluginReport] = []
        self._manager: pluggy.PluginManager | None = None
        self.losses: Registry[Loss, torch.nn.Module] = Registry(Loss, self)
        self.optimizers: Registry[Optimizer, torch.optim.Optimizer] = Registry(Optimizer, self)
        self.schedulers: Registry[Scheduler, torch.optim.lr_scheduler.LRScheduler] = Registry(Scheduler, self)
        self.models: Registry[Model, torch.nn.Module] = Registry(Model, self)
        self.datasets: Registry[Dataset, Data] = Registry(Dataset, self)
        self.metrics: Registry[Metric, Any] = Registry(Metric, self)
        self.observers: Registry[Observer, object] = Registry(Observer, self)

    def of(self, kind: str) -> Registry[Any, Any]:
        """The registry of a kind (`"loss"`)."""
        registry: Registry[Any, Any] = getattr(self, PLURALS[kind])
        return registry

    @property
    def changes(self) -> int:
        """How often components of any kind were added or taken away."""
        parts = self.losses.changes + self.optimizers.changes + self.schedulers.changes
        return parts + self.models.changes + self.datasets.changes + self.metrics.changes + self.observers.changes

    def offered(self, kind: str, name: str) -> str | None:
        """What would have a name if it was installed, as a sentence; or None."""
        if not self.settings.bridges:
            return None
        from lossreg.plugins.bridges import offered_if_installed  # only errors need it

        return offered_if_installed(kind, name)

    @property
    def reports(self) -> list[PluginReport]:
        """How the loading of each plugin went, in the order of loading."""
        self.load()
        return self._reports

    @property
    def manager(self) -> pluggy.PluginManager:
        """The pluggy manager that holds the plugins, for their run hooks."""
        if self._manager is None:
            self._manager = manager_of(self.reports)
        return self._manager

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
        with self._lock as is_held:
            # A plugin that looks something up while it is imported sees what is there so far, in whichever thread.
            if self._loaded or self._loading or not is_held:
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
        for report in load_plugins(settings):
            self._take(report)
        check_settings(settings, self._reports)
        for source in settings.local:
            self._load_local(source)
        self._tell_faults()

    def _load_local(self, source: str) -> None:
        known = {id(entry) for entry in self._local()}
        try:
            with _registering_into(self):
                report = load_local(source)
        except PluginError as error:
            error.message += self._if_installed(source)
            raise
        if any(other.plugin is report.plugin for other in self._reports):
            return  # the same file or module again, perhaps by another path
        self._take(report)
        added = [entry for entry in self._local() if id(entry) not in known]
        for entry in added:
            if entry.provenance.file is None:  # a factory in text, whose module is not this file
                entry.provenance = report.provenance
        if added and report.provenance.file is not None:
            _registered[report.provenance.file] = [entry.component for entry in added]
        added = added or self._again(report)
        if not added and not hooks_of(report.plugin):
            problem = f"{nothing_in(report.plugin, source)}{self._if_installed(source)}"
            raise PluginError(f"-p {source}: {problem}", plugin=source)
        self._reports[-1] = attrs.evolve(report, components=tuple(entry.component for entry in added))

    def _again(self, report: PluginReport) -> list[RegistryEntry[Any]]:
        """What a file registered for another set, as a file that was imported before does not run again."""
        file = report.provenance.file
        if file is None:
            return []
        if self is not default:
            of_default = [entry.component for entry in default._local() if entry.provenance.file == file]
            for component in _registered.get(file) or of_default:
                self.of(component.kind).add(component, report.provenance)
        return [entry for entry in self._local() if entry.provenance.file == file]

    def _if_installed(self, source: str) -> str:
        """That a word is the name of an installed plugin, as the end of a message, or nothing."""
        for report in self._reports:
            origin = report.provenance
            if origin.distribution and canonical(source) in map(canonical, (origin.plugin, origin.distribution)):
                state = "" if report.state == "loaded" else f" ({report.explanation})"
                return (
                    f". {source!r} is an installed plugin ({origin}){state}; installed plugins are loaded without -p: "
                    f"leave it out"
                )
        return ""

    def _tell_faults(self) -> None:
        faults = [report.warning for report in self._reports if report.warning]
        if faults and self.settings.strict:
            raise PluginError("\n  ".join(["plugins are not as they should be (strict):", *faults]), plugin="")
        if faults:
            import logging  # a start without a warning need not wait for it

            for fault in faults:
                logging.getLogger("lossreg").warning("%s", fault)

    def _take(self, report: PluginReport) -> None:
        self._reports.append(report)
        for component in report.components:
            self.of(component.kind).add(component, report.provenance)
        for table in report.tables:
            self.of(table.kind).add_table(table, report.provenance)

    def registering(self) -> Registries:
        """The set that `register` adds to: this one, or the one that a file is being loaded for."""
        return _destination.get() or self

    def __reduce__(self) -> tuple[Any, ...]:
        # A spawned process has its own installation to look into, and loads the same files; the rest of what this one
        # registered goes along. A file that came with it would be imported too early, for the default set.
        if self is default:
            return _the_default, ()
        loaded = {report.provenance.file for report in self._reports if report.provenance.plugin == LOCAL} - {None}
        along = [entry for entry in self._local() if entry.provenance.file not in loaded]
        return _restored, (self.settings, [(entry.component, entry.provenance) for entry in along])

    def _local(self) -> list[RegistryEntry[Any]]:
        return [e for kind in KINDS for e in self.of(kind).declared if e.provenance.plugin == LOCAL]


def _the_default() -> Registries:
    return default


def _restored(settings: PluginSettings, local: list[tuple[Component, Provenance]]) -> Registries:
    registries = Registries(settings)
    for component, provenance in local:
        registries.of(component.kind).add(component, provenance)
    return registries


def load_registries(
    *,
    allow: Iterable[str] | None = None,
    block: Iterable[str] = (),
    strict: bool = False,
    local: Iterable[str] = (),
    bridges: bool = True,
) -> Registries:
    """A set of registries of its own, scanned afresh: for embedding, tests and notebooks.

    It shares nothing with `lossreg.losses` and its siblings, and asks neither the environment nor a project's file.

    Args:
        allow: The only plugins (or distributions) to load in addition to the built-ins; None is all.
        block: Plugins (or distributions) not to load; they are not imported.
        strict: Whether a plugin that fails is an error instead of a warning.
        local: Further Python files and modules to load; their components are `local.<name>`.
        bridges: Whether bridges to other packages load, as far as `allow` and `block` let them.

    Raises:
        ConfigError: If an argument has a wrong type, or names a plugin that is not installed.
        InstallationError: If the built-in plugin is missing or broken.
        PluginError: If a local file or module cannot be loaded, or, with strict, any plugin.

    Example:
        >>> builtins = load_registries(allow=[])
        >>> "dice" in builtins.losses.names()
        True
    """
    importlib.invalidate_caches()  # a notebook sees what was just installed
    for argument, value in (("strict", strict), ("bridges", bridges)):
        if not isinstance(value, bool):
            raise ConfigError(f"{argument} is True or False, not {shown(value)}")
    blocked = _names(block, "block", str)
    settings = PluginSettings(
        None if allow is None else _names(allow, "allow", str),
        blocked,
        strict,
        tuple(map(str, _names(local, "local", str | os.PathLike))),
        required_block=blocked,
        bridges=bridges,
    )
    registries = Registries(settings)
    registries.load()
    return registries


def _names(names: object, argument: str, kinds: Any) -> list[Any]:
    """The names that an argument lists."""
    wrong = isinstance(names, str | Mapping) or not isinstance(names, Iterable)
    listed: list[Any] = [] if wrong else list(names)  # type: ignore[call-overload]  # it is not wrong
    if wrong or not all(isinstance(name, kinds) for name in listed):
        write = f"; write {argument}=[{names!r}]" if isinstance(names, kinds) else ""
        raise ConfigError(f"{argument} is a list of texts, not {shown(names)}{write}")
    return listed


#: File -> what it registered when it was loaded, in this process.
_registered: dict[str, list[Component]] = {}

default = Registries()
losses = default.losses
optimizers = default.optimizers
schedulers = default.schedulers
models = default.models
datasets = default.datasets
metrics = default.metrics
observers = default.observers
