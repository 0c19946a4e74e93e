"""Discovery: entry points become plugins, each loaded in isolation.

pluggy's own entry-point loader is not used: it skips a duplicate name silently, and one broken import ends the program.
Here a plugin that cannot be used costs one warning line and itself; the rest works, and the reason is remembered.
The order of installation, of `sys.path` and of the file system decides nothing.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import inspect
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from types import ModuleType
from typing import Any, Literal

import attrs
import pluggy

from lossreg import hookspecs
from lossreg.components import KINDS, Component
from lossreg.errors import ComponentError, InstallationError, PluginError
from lossreg.hookspecs import COMPONENT_HOOKS, PREFIX, PROJECT
from lossreg.names import check_name, normalize
from lossreg.suggestions import did_you_mean

GROUP = "lossreg"
HOME = "lossreg"  # the distribution whose plugins are the built-ins
LOCAL = "local"  # the namespace of what is registered without a distribution
HOOKS = tuple(name for name in vars(hookspecs) if name.startswith(PREFIX))
SLOW_IMPORT = 1.0  # seconds; a plugin that takes longer keeps everybody waiting at each start


@attrs.frozen
class Provenance:
    """Where a component comes from.

    Attributes:
        plugin: The plugin's name, which is the namespace of its components.
        distribution: The installed distribution that offers it; None for what was registered in this process.
        version: That distribution's version.
    """

    plugin: str
    distribution: str | None = None
    version: str | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}" if self.distribution else "this process"


@attrs.frozen
class EntryPoint:
    """One line of a distribution's entry points, not loaded yet.

    Attributes:
        name: The plugin's name.
        module: The module that it names.
        distribution: The distribution's name.
        version: The distribution's version.
    """

    name: str
    module: str
    distribution: str
    version: str

    @property
    def provenance(self) -> Provenance:
        """What its components are recorded with."""
        return Provenance(self.name, self.distribution, self.version)

    @property
    def what(self) -> str:
        """The plugin in a message: `plugin 'focal' (lossreg-focal 0.3)`."""
        return f"plugin {self.name!r} ({self.distribution} {self.version})"


@attrs.frozen
class PluginReport:
    """How the loading of one plugin went.

    Attributes:
        provenance: The plugin and its distribution.
        state: `"loaded"` or `"failed"`.
        records: What it offers.
        milliseconds: How long the import and the hooks took.
        problem: Why it failed, or what is odd about it; one line.
    """

    provenance: Provenance
    state: Literal["loaded", "failed"]
    records: tuple[Component, ...] = ()
    milliseconds: float = 0.0
    problem: str | None = None

    @property
    def warning(self) -> str | None:
        """The line to warn with, or None."""
        if self.problem is None:
            return None
        verb = " failed to load" if self.state == "failed" else ""
        return f"plugin {self.provenance.plugin!r} ({self.provenance}){verb}: {self.problem}"


def entry_points() -> list[EntryPoint]:
    """The entry points of the group `lossreg`, our own first, the others by (distribution, name).

    Reads each distribution's metadata once. Of two installations of one distribution on `sys.path`, Python imports the
    first, and so only the first counts.
    """
    found: list[EntryPoint] = []
    seen: set[str] = set()
    for distribution in importlib.metadata.distributions():
        text = _read(distribution, "entry_points.txt")
        if text is None or f"[{GROUP}]" not in text:
            # Its name would tell whether it hides a later installation, but asking costs a parse for each of them.
            _remember(distribution, seen)
            continue
        name, version = _identity(distribution)
        if normalize(name) in seen:
            continue
        seen.add(normalize(name))
        found += [
            EntryPoint(point.name, point.value, name, version)
            for point in distribution.entry_points
            if point.group == GROUP
        ]
    return sorted(found, key=lambda point: (normalize(point.distribution) != HOME, point.distribution, point.name))


def _read(distribution: importlib.metadata.Distribution, file: str) -> str | None:
    try:
        return distribution.read_text(file)
    except (OSError, UnicodeDecodeError):  # a damaged installation of somebody else's is not ours to report
        return None


def _remember(distribution: importlib.metadata.Distribution, seen: set[str]) -> None:
    # The folder `name-version.dist-info` tells the name without parsing the metadata.
    folder = getattr(getattr(distribution, "_path", None), "name", "")
    if folder.endswith(".dist-info"):
        seen.add(normalize(folder.partition("-")[0]))


def _identity(distribution: importlib.metadata.Distribution) -> tuple[str, str]:
    """Name and version, read from the head of the metadata: `Distribution.name` parses all of it as an e-mail."""
    text = _read(distribution, "METADATA") or _read(distribution, "PKG-INFO") or ""
    fields: dict[str, str] = {}
    for line in text.splitlines():
        if not line:
            break
        key, colon, value = line.partition(": ")
        if colon and key in ("Name", "Version"):
            fields.setdefault(key, value.strip())
    return fields.get("Name", "?"), fields.get("Version", "?")


def load_plugins(manager: pluggy.PluginManager) -> Iterator[PluginReport]:
    """Loads every entry point, each in isolation, and yields a report for each.

    Args:
        manager: Gets every plugin that loads.

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
    reserved = {normalize(point.name) for point in ours} | {LOCAL}
    modules = {point.module.partition(":")[0] for point in ours}
    claims: dict[str, list[EntryPoint]] = {}
    for point in points:
        claims.setdefault(normalize(point.name), []).append(point)
    for point in points:
        builtin = point in ours
        rivals = [other for other in claims[normalize(point.name)] if other != point]
        if not builtin and normalize(point.name) in reserved:
            report = _refused(point, f"the name {point.name!r} is reserved for lossreg itself")
        elif not builtin and point.module.partition(":")[0] in modules:
            report = _refused(point, f"the module {point.module} belongs to lossreg itself")
        elif not builtin and rivals:
            others = " and ".join(f"{rival.distribution} {rival.version}" for rival in rivals)
            report = _refused(point, f"{others} offers a plugin of the same name; uninstall one of them")
        else:
            report = _load(point, manager)
            if builtin and report.state == "failed":
                raise InstallationError(f"the installation of lossreg is broken: {report.warning}")
        yield report


def _refused(point: EntryPoint, problem: str) -> PluginReport:
    return PluginReport(point.provenance, "failed", problem=problem)


def _load(point: EntryPoint, manager: pluggy.PluginManager) -> PluginReport:
    started = time.perf_counter()

    def milliseconds() -> float:
        return (time.perf_counter() - started) * 1e3

    try:
        check_name(point.name, "a plugin")
        plugin = _import(point.module)
        imported = time.perf_counter() - started
        records = register(plugin, point.name, manager)
    except (Exception, SystemExit) as error:  # whatever a plugin does, the others go on
        return PluginReport(point.provenance, "failed", milliseconds=milliseconds(), problem=describe_error(error))
    problem = None
    if imported > SLOW_IMPORT:
        problem = f"its import took {imported:.1f} s, which every start of lossreg waits for"
    return PluginReport(point.provenance, "loaded", records, milliseconds(), problem)


def _import(target: str) -> object:
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


def new_manager() -> pluggy.PluginManager:
    """A plugin manager that knows the hooks of lossreg and no plugin."""
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    return manager


def register(plugin: object, name: str, manager: pluggy.PluginManager) -> tuple[Component, ...]:
    """Registers a plugin with the manager and collects what it offers; all of it or nothing.

    Raises:
        PluginError: If a hook is misspelt, unmarked or has wrong arguments, a hook returns something else than
            records of its kind, two records have one name, or nothing is offered.
        Exception: Whatever a hook of the plugin raises.
    """
    hooks = list(_check_hooks(plugin, name, manager))
    if not hooks:
        raise PluginError("it offers nothing: no function is marked with @lossreg.hookimpl", plugin=name)
    # A hook is called alone, not through the manager, so that the answer has an owner.
    records = tuple(_records(plugin, name, [hook for hook in hooks if hook in COMPONENT_HOOKS]))
    if not records and all(hook in COMPONENT_HOOKS for hook in hooks):
        raise PluginError("it offers nothing: its hooks returned no record", plugin=name)
    manager.register(plugin, name)
    return records


def _check_hooks(plugin: object, name: str, manager: pluggy.PluginManager) -> Iterator[str]:
    # A module's own names; for an object also those of its class.
    attributes = list(vars(plugin)) if isinstance(plugin, ModuleType) else dir(plugin)
    for attribute in attributes:
        if not attribute.startswith(PREFIX):
            continue
        function = getattr(plugin, attribute)
        if not inspect.isroutine(function):
            continue  # `import lossreg_focal.loss` binds such a name, too
        if attribute not in HOOKS:
            hint = did_you_mean(attribute, HOOKS)
            raise PluginError(f"there is no hook {attribute!r}.{hint} Hooks: {', '.join(HOOKS)}", plugin=name)
        marked = manager.parse_hookimpl_opts(plugin, attribute)
        if marked is None:
            raise PluginError(f"{attribute} is not marked with @lossreg.hookimpl", plugin=name)
        if marked["hookwrapper"] or marked["wrapper"]:
            raise PluginError(f"{attribute} is a wrapper; hooks of lossreg cannot be wrapped", plugin=name)
        allowed = getattr(manager.hook, attribute).spec.argnames
        surplus = [argument for argument in inspect.signature(function).parameters if argument not in allowed]
        if surplus:
            raise PluginError(
                f"{attribute} takes {', '.join(surplus)}, which the hook does not give; "
                f"it gives {', '.join(allowed) or 'no arguments'}",
                plugin=name,
            )
        yield attribute


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
            if (record.kind, record.name) in seen:
                raise PluginError(f"it offers the {record.what} twice", plugin=name)
            seen.add((record.kind, record.name))
            yield record


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
