"""A close look at one plugin: everything that is wrong with it, not only the first thing.

`python -m lossreg.plugins.doctor NAME` prints what it finds as JSON; `lossreg plugins doctor` calls it so, in a process
of its own, which a plugin may end, hang or crash without harm.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
import traceback
from typing import Any

from lossreg.components import Component
from lossreg.errors import ConfigError, LossregError, describe_error
from lossreg.names import canonical
from lossreg.plugins.checks import check_hook, collect, hooks_of
from lossreg.plugins.entry_points import EntryPoint, entry_points
from lossreg.plugins.loader import Installed, reason_not_to_load
from lossreg.plugins.plugin_settings import PluginSettings
from lossreg.plugins.requirements import unmet_requirements
from lossreg.registry.entry import RegistryEntry
from lossreg.suggestions import did_you_mean


def examine(point: EntryPoint) -> dict[str, Any]:
    """Loads a plugin and looks at all its parts.

    Returns:
        Plain values: `plugin`, `distribution`, `version`, `module`, `milliseconds`, `traceback` (of the import),
        `requirements` (unmet ones), `hooks` and `components`, each with `name` and `problem` (None if it is well).
    """
    findings: dict[str, Any] = {
        "plugin": point.name,
        "distribution": point.distribution,
        "version": point.version,
        "module": point.value,
        "requirements": unmet_requirements(_requirements(point)),
        "traceback": None,
        "milliseconds": None,
        "hooks": [],
        "components": [],
        "problem": None,
    }
    started = time.perf_counter()
    try:
        plugin = point.load()
    except (Exception, SystemExit):
        return {**findings, "traceback": traceback.format_exc()}
    findings["milliseconds"] = round((time.perf_counter() - started) * 1e3, 3)
    findings["hooks"] = [
        {"name": hook, "problem": _hook_problem(hook, plugin, point.name)} for hook in hooks_of(plugin)
    ]
    if any(hook["problem"] for hook in findings["hooks"]):
        return findings
    try:
        components = collect(plugin, point.name)
    except (Exception, SystemExit) as error:
        return {**findings, "problem": describe_error(error)}
    findings["components"] = [_component_finding(RegistryEntry(one, point.provenance)) for one in components]
    return findings


def _requirements(point: EntryPoint) -> list[str]:
    """What its distribution requires; what concerns lossreg alone where the rest is not found by the name."""
    try:
        return importlib.metadata.requires(point.distribution) or []
    except importlib.metadata.PackageNotFoundError:
        return list(point.requirements)


def _hook_problem(hook: str, plugin: object, name: str) -> str | None:
    try:
        check_hook(hook, getattr(plugin, hook), name)
    except LossregError as error:
        return error.message
    return None


def _component_finding(entry: RegistryEntry[Component]) -> dict[str, Any]:
    return {"kind": entry.component.kind, "name": entry.id, "problem": _component_problem(entry)}


def _component_problem(entry: RegistryEntry[Component]) -> str | None:
    try:
        signature = entry.signature
    except LossregError as error:
        return error.message
    named = entry.component.known_parameters
    unknown = [name for name in named if name not in signature.parameters and not signature.open]
    if unknown:
        return f"its factory has no parameter {', '.join(unknown)}: {signature.describe(entry.name, {})}"
    return None


def named(name: str) -> list[EntryPoint]:
    """The entry points of this name, or of the distribution of this name.

    Raises:
        ConfigError: If there is none.
    """
    points = entry_points()
    wanted = canonical(name)
    found = [point for point in points if wanted in (canonical(point.name), canonical(point.distribution))]
    if not found:
        known = sorted({word for point in points for word in (point.name, point.distribution)})
        raise ConfigError(f"there is no plugin {name!r}.{did_you_mean(name, known)} Plugins: lossreg plugins")
    return found


def obstacles(points: list[EntryPoint]) -> list[str]:
    """What keeps these entry points from being imported, whatever is in them; one line each."""
    installed = Installed.scan()
    reasons = {point: reason_not_to_load(point, installed, PluginSettings()) for point in points if not point.is_own}
    return [f"{point.distribution} {point.version}: {why.problem}" for point, why in reasons.items() if why]


if __name__ == "__main__":
    sys.stdout.write(json.dumps([examine(point) for point in named(sys.argv[1])]))
