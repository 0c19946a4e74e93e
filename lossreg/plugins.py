"""Discovery: entry points become plugins, each loaded in isolation.

pluggy's own entry-point loader is not used: it skips a duplicate name silently, and one broken import ends the program.
Here a plugin that cannot be used costs one warning line and itself; the rest works, and the reason is remembered.
The order of installation, of `sys.path` and of the file system decides nothing.
"""

from __future__ import annotations

import importlib
import inspect
import os
import sys
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from importlib.util import find_spec
from types import ModuleType
from typing import Any, Literal

import attrs
import pluggy

from lossreg import hookspecs
from lossreg.components import KINDS, Component
from lossreg.distributions import HOME, EntryPoint, entry_points, unmet_requirement
from lossreg.errors import ComponentError, ConfigError, InstallationError, PluginError
from lossreg.hookspecs import COMPONENT_HOOKS, PREFIX, PROJECT
from lossreg.names import check_name, normalize
from lossreg.settings import PluginSettings
from lossreg.suggestions import did_you_mean

LOCAL = "local"  # the namespace of what is registered without a distribution
#: Hook -> its arguments.
HOOKS: Mapping[str, tuple[str, ...]] = {
    name: tuple(inspect.signature(specification).parameters)
    for name, specification in vars(hookspecs).items()
    if name.startswith(PREFIX)
}
State = Literal["loaded", "failed", "blocked", "incompatible"]
SLOW_IMPORT = 1.0  # seconds; a plugin that takes longer keeps everybody waiting at each start


@attrs.frozen
class Provenance:
    """Where a component comes from.

    Attributes:
        plugin: The plugin's name, which is the namespace of its components.
        distribution: The installed distribution that offers it; None for what was registered in this process.
        version: That distribution's version.
        file: The Python file that registered it, if no distribution did.
        sha256: That file's hash when it was loaded.
    """

    plugin: str
    distribution: str | None = None
    version: str | None = None
    file: str | None = None
    sha256: str | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}" if self.distribution else self.file or "this process"

    def to_json(self) -> dict[str, str | None]:
        """The fields that say something, as plain values."""
        own = {"plugin": self.plugin, "distribution": self.distribution, "version": self.version}
        return own if self.file is None else {**own, "file": self.file, "sha256": self.sha256}


@attrs.frozen
class PluginReport:
    """How the loading of one plugin went.

    Attributes:
        provenance: The plugin and its distribution.
        state: `"loaded"`, `"failed"`, `"blocked"` (not imported, as somebody wished) or `"incompatible"` (not imported,
            since it needs another lossreg).
        records: What it offers.
        milliseconds: How long the import and the hooks took.
        problem: Why it failed, or what is odd about it; one line.
        plugin: The module or object itself, if it is loaded.
    """

    provenance: Provenance
    state: State
    records: tuple[Component, ...] = ()
    milliseconds: float = 0.0
    problem: str | None = None
    plugin: object = attrs.field(default=None, repr=False, eq=False)

    @property
    def warning(self) -> str | None:
        """The line to warn with, or None."""
        return None if self.problem is None or self.state == "blocked" else self.explanation

    @property
    def explanation(self) -> str:
        """Who, and what the matter is."""
        verb = {"failed": " failed to load", "incompatible": " is incompatible", "blocked": " is blocked"}.get(
            self.state, ""
        )
        return f"plugin {self.provenance.plugin!r} ({self.provenance}){verb}: {self.problem}"


def load_plugins(settings: PluginSettings) -> Iterator[PluginReport]:
    """Loads every entry point that the settings permit, each in isolation, and yields a report for each.

    Args:
        settings: Which may load.

    Raises:
        InstallationError: If the built-in plugin is missing or broken.
    """
    points = entry_points()
    ours = [point for point in points if normalize(point.distribution) == HOME]
    if not ours:
        raise InstallationError(
            "the installation of lossreg is broken: its own entry points are not there. "
            "Install it again (pip install --force-reinstall --no-deps lossreg)"
        )
    for point in ours:
        report = _load(point)
        if report.state == "failed":
            raise InstallationError(f"the installation of lossreg is broken: {report.warning}")
        yield report
    others = points[len(ours) :]  # ours come first
    owners: dict[int, str] = {}
    claims: dict[str, list[EntryPoint]] = {}
    for point in others:
        if settings.permits(point.name, point.distribution):
            claims.setdefault(normalize(point.name), []).append(point)
    for point in others:
        if not settings.permits(point.name, point.distribution):
            yield _not_loaded(point, "blocked", "by a flag, the environment or the project's file")
            continue
        refused = refusal(point, ours, claims[normalize(point.name)])
        unmet = unmet_requirement(point.requirements, ours[0].version)
        if refused is not None:
            yield _not_loaded(point, "failed", refused)
        elif unmet is not None:
            yield _not_loaded(point, "incompatible", f"it requires {unmet}; lossreg {ours[0].version} is installed")
        else:
            report = _load(point)
            known = owners.setdefault(id(report.plugin), point.name) if report.plugin is not None else point.name
            same = f"the module {point.module} is that of plugin {known!r}"
            yield report if known == point.name else _not_loaded(point, "failed", same)


def check_names(settings: PluginSettings, reports: Iterable[PluginReport]) -> None:
    """Checks that the settings do not block a built-in plugin, and that the plugins that they allow are there.

    Raises:
        ConfigError: If they do, or one is not.
    """
    known = {normalize(name) for r in reports for name in (r.provenance.plugin, r.provenance.distribution or "")}
    for name in sorted(settings.block & {normalize(HOME), "builtin"}):
        raise ConfigError(f"the plugin {name!r} belongs to lossreg itself and cannot be blocked")
    for purpose, names in (("allow", settings.allow or frozenset()), ("block", settings.named)):
        for name in sorted(names - known):
            hint = did_you_mean(name, sorted(known))
            raise ConfigError(f"there is no plugin {name!r} to {purpose}.{hint} (lossreg plugins lists them)")


def refusal(point: EntryPoint, ours: list[EntryPoint], claims: list[EntryPoint]) -> str | None:
    """Why an entry point is refused before it is imported, or None."""
    if normalize(point.name) in {LOCAL, *(normalize(own.name) for own in ours)}:
        return f"the name {point.name!r} is reserved for lossreg itself"
    if point.module.partition(":")[0] in {own.module.partition(":")[0] for own in ours}:
        return f"the module {point.module} belongs to lossreg itself"
    rivals = [f"{other.distribution} {other.version}" for other in claims if other != point]
    if rivals:
        return (
            f"{' and '.join(rivals)} offers a plugin of the same name; uninstall one of them, "
            f"or block one by its distribution (-p no:{point.distribution})"
        )
    return None


def _not_loaded(point: EntryPoint, state: State, problem: str) -> PluginReport:
    return PluginReport(provenance_of(point), state, problem=problem)


def provenance_of(point: EntryPoint) -> Provenance:
    """What the components of an entry point are recorded with."""
    return Provenance(point.name, point.distribution, point.version)


def _load(point: EntryPoint) -> PluginReport:
    started = time.perf_counter()

    def milliseconds() -> float:
        return (time.perf_counter() - started) * 1e3

    try:
        check_name(point.name, "a plugin")
        plugin = import_target(point.module)
        imported = time.perf_counter() - started
        records = collect(plugin, point.name)
    except (Exception, SystemExit) as error:  # whatever a plugin does, the others go on
        return PluginReport(provenance_of(point), "failed", milliseconds=milliseconds(), problem=describe_error(error))
    problem = None
    if imported > SLOW_IMPORT:
        problem = f"its import took {imported:.1f} s, which every start of lossreg waits for"
    return PluginReport(provenance_of(point), "loaded", records, milliseconds(), problem, plugin)


def import_target(target: str) -> object:
    """The module, or the object in it, that an entry point names."""
    module, _, attribute = target.partition(":")
    plugin: object = importlib.import_module(module.strip())
    for name in filter(None, attribute.split("[")[0].strip().split(".")):
        plugin = getattr(plugin, name)
    return plugin


def describe_error(error: BaseException) -> str:
    """One line for an error of somebody else's code: `ModuleNotFoundError: No module named 'kornia'`."""
    if isinstance(error, PluginError | ComponentError):
        return error.message
    # Some of torch's messages carry a C++ stack.
    text = " ".join(str(error).partition("Exception raised from")[0].split())
    return f"{type(error).__name__}: {text}" if text else type(error).__name__


def manager_of(reports: Iterable[PluginReport]) -> pluggy.PluginManager:
    """A pluggy manager that knows the hooks of lossreg and holds the plugins that were loaded.

    It is made when a run needs it: listing names asks each plugin itself, and filling a manager costs more than that.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    for report in reports:
        if report.plugin is not None:
            # Several local files share one namespace, so their modules tell them apart.
            own = getattr(report.plugin, "__name__", "")
            name = report.provenance.plugin
            manager.register(report.plugin, f"{LOCAL}:{own}" if name == LOCAL else name)
    return manager


def collect(plugin: object, name: str) -> tuple[Component, ...]:
    """Checks the hooks of a plugin and collects what it offers; all of it or nothing.

    Raises:
        PluginError: If a hook is misspelt, unmarked or has wrong arguments, a hook returns something else than
            records of its kind, two records have one name, or nothing is offered.
        Exception: Whatever a hook of the plugin raises.
    """
    hooks = hooks_of(plugin)
    for hook in hooks:
        check_hook(hook, getattr(plugin, hook), name)
    if not hooks:
        raise PluginError("it offers nothing: no function is marked with @lossreg.hookimpl", plugin=name)
    # A hook is called alone, not through a manager, so that the answer has an owner.
    records = tuple(_records(plugin, name, [hook for hook in hooks if hook in COMPONENT_HOOKS]))
    if not records and all(hook in COMPONENT_HOOKS for hook in hooks):
        raise PluginError("it offers nothing: its hooks returned no record", plugin=name)
    return records


def hooks_of(plugin: object) -> list[str]:
    """The names of functions of a module, or of an object and its class, that look like hooks."""
    attributes = list(vars(plugin)) if isinstance(plugin, ModuleType) else dir(plugin)
    # `import lossreg_focal.loss` binds such a name, too: only functions are hooks.
    return [name for name in attributes if name.startswith(PREFIX) and inspect.isroutine(getattr(plugin, name))]


def check_hook(hook: str, function: Callable[..., Any], plugin: str) -> None:
    """Checks one function that looks like a hook.

    Raises:
        PluginError: If there is no such hook, or the function is unmarked, a wrapper, or has other arguments.
    """
    if hook not in HOOKS:
        hint = did_you_mean(hook, HOOKS)
        raise PluginError(f"there is no hook {hook!r}.{hint} Hooks: {', '.join(HOOKS)}", plugin=plugin)
    marked = getattr(function, f"{PROJECT}_impl", None)  # where pluggy's marker leaves its options
    if marked is None:
        raise PluginError(f"{hook} is not marked with @lossreg.hookimpl", plugin=plugin)
    if marked["hookwrapper"] or marked["wrapper"]:
        raise PluginError(f"{hook} is a wrapper; hooks of lossreg cannot be wrapped", plugin=plugin)
    allowed = HOOKS[hook]
    surplus = [argument for argument in inspect.signature(function).parameters if argument not in allowed]
    if surplus:
        raise PluginError(
            f"{hook} takes {', '.join(surplus)}, which the hook does not give; "
            f"it gives {', '.join(allowed) or 'no arguments'}",
            plugin=plugin,
        )


def _records(plugin: object, name: str, hooks: Iterable[str]) -> Iterator[Component]:
    seen: set[tuple[str, str]] = set()
    for hook in hooks:
        record_type = COMPONENT_HOOKS[hook]
        answer = getattr(plugin, hook)()
        if not isinstance(answer, Iterable):
            raise PluginError(f"{hook} returned {answer!r}; it returns a list of records", plugin=name)
        for record in answer:
            if not isinstance(record, record_type):
                expected = f"lossreg.{record_type.__name__}"
                raise PluginError(f"{hook} returned {record!r}; it returns {expected} records", plugin=name)
            if not factory_may_exist(record.factory):
                problem = f"the factory of {record.what} is not there: {record.factory}"
                raise PluginError(problem, plugin=name)
            for word in (record.name, *record.aliases):
                if (record.kind, word) in seen:
                    raise PluginError(f"it offers the {record.kind} {word!r} twice", plugin=name)
                seen.add((record.kind, word))
            yield record


def factory_may_exist(target: object) -> bool:
    """Whether a factory can be there, as far as that shows without an import."""
    if not isinstance(target, str):
        return True
    module, _, attribute = target.partition(":")
    loaded = sys.modules.get(module)
    if loaded is not None:
        return attribute.partition(".")[0] in vars(loaded) or "__getattr__" in vars(loaded)
    parent, _, name = module.rpartition(".")
    folders = getattr(sys.modules.get(parent), "__path__", None) if parent else None
    if folders is None:
        return True
    # Most modules are files: one look at the disk is cheaper than asking all finders, or than making a Path.
    is_file = any(os.path.exists(f"{folder}/{name}.py") for folder in folders)  # noqa: PTH110  # see above
    return is_file or find_spec(module) is not None


def implementations(manager: pluggy.PluginManager, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The implementations of a hook in pluggy's order, each with its plugin, as functions of keyword arguments."""
    for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):

        def call(impl: pluggy.HookImpl = implementation, **arguments: Any) -> Any:
            return impl.function(**{name: arguments[name] for name in impl.argnames})

        yield implementation.plugin_name, call


def offers(records: Iterable[Component]) -> Mapping[str, list[str]]:
    """What a plugin offers: kind -> names."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for record in records:
        by_kind[record.kind].append(record.name)
    return {kind: sorted(names) for kind, names in by_kind.items() if names}
