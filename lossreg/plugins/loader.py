"""Discovery: entry points become plugins, each loaded in isolation.

pluggy's own entry-point loader is not used: it skips a duplicate name silently, and one broken import ends the program.
Here a plugin that fails is skipped with one warning line; the rest works, and the reason is remembered. The order of
installation, of `sys.path` and of the file system decides nothing.
"""

from __future__ import annotations

import functools
import time
from collections.abc import Callable, Collection, Iterator, Mapping

import attrs

from lossreg.errors import ConfigError, InstallationError, describe_error
from lossreg.names import canonical, check_name
from lossreg.plugins.bridges import pip_command
from lossreg.plugins.checks import collect
from lossreg.plugins.entry_points import OWN_DISTRIBUTION, EntryPoint, scan
from lossreg.plugins.isolation import StdoutToStderr, is_from_outside
from lossreg.plugins.plugin_settings import PluginSettings
from lossreg.plugins.provenance import LOCAL, PluginReport, State
from lossreg.plugins.requirements import unmet_requirement
from lossreg.suggestions import did_you_mean

SLOW_IMPORT = 1.0  # seconds; a plugin that takes longer delays each start


@attrs.frozen
class Installed:
    """The entry points of all installed distributions.

    Attributes:
        own: Those of lossreg itself; at least one.
        others: All others.
        bridges: Those of lossreg to other packages that are installed.
    """

    own: tuple[EntryPoint, ...]
    others: tuple[EntryPoint, ...]
    bridges: tuple[EntryPoint, ...] = ()

    @classmethod
    def scan(cls) -> Installed:
        """Reads the metadata of all distributions.

        Raises:
            InstallationError: If the built-in plugin is missing.
        """
        points, bridges = scan()
        own = tuple(point for point in points if point.is_own)
        if not own:
            raise InstallationError(
                "the installation of lossreg is broken: its own entry points are missing. "
                "Install it again (pip install --force-reinstall --no-deps lossreg)"
            )
        others = tuple(point for point in points if not point.is_own)
        return cls(own, others, tuple(point for point in bridges if point.bridged_version is not None))

    @property
    def version(self) -> str:
        """The installed version of lossreg."""
        return self.own[0].version

    @functools.cached_property
    def by_name(self) -> Mapping[str, list[EntryPoint]]:
        """Canonical name -> the entry points of other distributions that have it."""
        found: dict[str, list[EntryPoint]] = {}
        for point in self.others:
            found.setdefault(canonical(point.name), []).append(point)
        return found


@attrs.frozen
class Reason:
    """Why an entry point is not loaded."""

    state: State
    problem: str


def load_plugins(settings: PluginSettings) -> Iterator[PluginReport]:
    """Loads every entry point that the settings permit, each in isolation, and yields a report for each.

    Args:
        settings: Which may load.

    Raises:
        InstallationError: If the built-in plugin is missing or broken.
    """
    installed = Installed.scan()
    for point in installed.own:
        report = _load(point)
        if report.state == "failed":
            raise InstallationError(f"the installation of lossreg is broken: {report.warning}")
        yield report
    for point in installed.bridges if settings.bridges else ():
        reason = reason_not_to_load(point, installed, settings)
        yield _load(point) if reason is None else _refused(point, reason)
    owners: dict[int, str] = {}
    for point in installed.others:
        reason = reason_not_to_load(point, installed, settings)
        report = _load(point) if reason is None else _refused(point, reason)
        if report.plugin is not None and owners.setdefault(id(report.plugin), point.name) != point.name:
            same = f"the module {point.value} is that of plugin {owners[id(report.plugin)]!r}"
            report = _refused(point, Reason("failed", same))
        yield report


def reason_not_to_load(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    """The first reason not to import an entry point of another distribution, or of a bridge; or None."""
    checks = _REASONS if point.bridged is None else _REASONS_OF_BRIDGES
    return next(filter(None, (check(point, installed, settings) for check in checks)), None)


def _is_blocked(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    del installed
    if settings.permits(point.name, point.provenance.distribution or ""):
        return None
    return Reason("blocked", "by a flag, the environment or the project's file")


def _has_nothing_to_offer(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    del installed, settings
    if point.bridged_version is not None:
        return None
    return Reason("failed", f"{point.bridged} is not installed; {pip_command([point])}")


def _gives_way(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    """A bridge stands in for what the package, or another distribution, does not offer itself."""
    rivals = [
        f"{other.distribution} {other.version}"
        for other in installed.by_name.get(canonical(point.name), ())
        if settings.permits(other.name, other.distribution)
    ]
    if not rivals:
        return None
    return Reason("aside", f"{' and '.join(rivals)} offers a plugin of the same name")


def _has_a_reserved_name(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    del settings
    if canonical(point.name) not in {LOCAL, *(canonical(own.name) for own in installed.own)}:
        return None
    return Reason("failed", f"the name {point.name!r} is reserved for lossreg itself")


def _has_a_reserved_module(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    del settings
    if point.module not in {own.module for own in (*installed.own, *installed.bridges)}:
        return None
    return Reason("failed", f"the module {point.value} belongs to lossreg itself")


def _has_rivals(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    rivals = [
        f"{other.distribution} {other.version}"
        for other in installed.by_name[canonical(point.name)]
        if other != point and settings.permits(other.name, other.distribution)
    ]
    if not rivals:
        return None
    return Reason(
        "failed",
        f"{' and '.join(rivals)} offers a plugin of the same name; uninstall one of them, "
        f"or block one by its distribution: block=[{point.distribution!r}] of "
        f"load_registries (-p no:{point.distribution})",
    )


def _is_incompatible(point: EntryPoint, installed: Installed, settings: PluginSettings) -> Reason | None:
    del settings
    unmet = unmet_requirement(point.requirements, installed.version)
    if unmet is None:
        return None
    return Reason("incompatible", f"it requires {unmet}; lossreg {installed.version} is installed")


_REASONS: tuple[Callable[[EntryPoint, Installed, PluginSettings], Reason | None], ...] = (
    _is_blocked,
    _has_a_reserved_name,
    _has_a_reserved_module,
    _has_rivals,
    _is_incompatible,
)
_REASONS_OF_BRIDGES = (_is_blocked, _has_nothing_to_offer, _gives_way)


def _refused(point: EntryPoint, reason: Reason) -> PluginReport:
    return PluginReport(point.provenance, reason.state, problem=reason.problem)


def _load(point: EntryPoint) -> PluginReport:
    started = time.perf_counter()

    def milliseconds() -> float:
        return (time.perf_counter() - started) * 1e3

    try:
        check_name(point.name, "a plugin")
        with StdoutToStderr():
            plugin = point.load()
            imported = time.perf_counter() - started
            offered = collect(plugin, point.name)
    except BaseException as error:  # whatever a plugin does, the others go on
        if is_from_outside(error):
            raise
        return PluginReport(point.provenance, "failed", milliseconds=milliseconds(), problem=describe_error(error))
    problem = None
    if imported > SLOW_IMPORT:
        problem = f"its import took {imported:.1f} s, which delays every start of lossreg"
    return PluginReport(point.provenance, "loaded", offered.components, milliseconds(), problem, plugin, offered.tables)


def check_settings(settings: PluginSettings, reports: Collection[PluginReport]) -> None:
    """Checks that the settings do not block a built-in plugin, and that the plugins that they allow are installed.

    Raises:
        ConfigError: If they do, or one is not.
    """
    known = {canonical(name): name for r in reports for name in (r.provenance.plugin, r.provenance.distribution or "")}
    own = {r.provenance.plugin for r in reports if canonical(r.provenance.distribution or "") == OWN_DISTRIBUTION}
    for name in sorted(settings.block & {OWN_DISTRIBUTION, *map(canonical, own)}):
        raise ConfigError(f"the plugin {name!r} belongs to lossreg itself and cannot be blocked")
    for purpose, names in (("allow", settings.allow or frozenset()), ("block", settings.required_block)):
        for name in sorted(names - known.keys()):
            hint = did_you_mean(name, sorted(known.values()))
            raise ConfigError(f"there is no plugin {name!r} to {purpose}.{hint} (lossreg plugins lists them)")
