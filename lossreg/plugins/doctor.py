"""A close look at one plugin: everything that is wrong with it, not only the first thing.

`lossreg plugins doctor` examines in a process of its own, which a plugin may end, hang or crash without harm.
"""

from __future__ import annotations

import importlib.metadata
import time
import traceback
from collections.abc import Callable, Iterator
from typing import Any

from lossreg.component import Component
from lossreg.components import Dataset
from lossreg.errors import ConfigError, LossregError, describe_error
from lossreg.names import canonical
from lossreg.plugins.checks import check_hook, collect, hooks_of
from lossreg.plugins.entry_points import EntryPoint, scan
from lossreg.plugins.isolation import is_from_outside
from lossreg.plugins.loader import Installed, reason_not_to_load
from lossreg.plugins.plugin_settings import PluginSettings
from lossreg.plugins.provenance import BUILTIN
from lossreg.plugins.requirements import unmet_requirements
from lossreg.registry.annotations import MISSING
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import load_registries
from lossreg.suggestions import did_you_mean

Entry = RegistryEntry[Component]


def examine(point: EntryPoint, attempt: Callable[[Entry], list[str]]) -> dict[str, Any]:
    """Loads a plugin and looks at all its parts.

    Args:
        point: The plugin.
        attempt: Tries a component, and returns what is wrong with it.

    Returns:
        Plain values: `plugin`, `distribution`, `version`, `module`, `folder` (where it is installed, or None),
        `milliseconds` (None if the import failed), `traceback` (of the import, or of a component hook that raised),
        `requirements` (unmet ones), `hooks` and `components`, each with `name` and `problem` (None if it is well).
    """
    findings: dict[str, Any] = {
        "plugin": point.name,
        "distribution": point.distribution,
        "version": point.version,
        "module": point.value,
        "folder": _folder(point),
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
    except BaseException as error:
        if is_from_outside(error):
            raise
        return {**findings, "traceback": traceback.format_exc()}
    findings["milliseconds"] = round((time.perf_counter() - started) * 1e3, 3)
    findings["hooks"] = [
        {"name": hook, "problem": _hook_problem(hook, plugin, point.name)} for hook in hooks_of(plugin)
    ]
    if any(hook["problem"] for hook in findings["hooks"]):
        return findings
    try:
        offered = collect(plugin, point.name)
        version = point.provenance.version
        components = [*offered.components, *(one for table in offered.tables for one in table.components(version))]
    except LossregError as error:
        return {**findings, "problem": error.message}
    except BaseException as error:
        if is_from_outside(error):
            raise
        return {**findings, "problem": describe_error(error), "traceback": traceback.format_exc()}
    entries = [RegistryEntry(one, point.provenance) for one in components]
    findings["components"] = [
        {"kind": entry.component.kind, "name": entry.id, "problem": _component_problem(entry, attempt)}
        for entry in entries
    ]
    return findings


def _folder(point: EntryPoint) -> str | None:
    """The folder of `sys.path` that its distribution is in; None where that is not found by the name."""
    try:
        return str(importlib.metadata.distribution(point.distribution).locate_file(""))
    except importlib.metadata.PackageNotFoundError:
        return None


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


def _component_problem(entry: Entry, attempt: Callable[[Entry], list[str]]) -> str | None:
    try:
        problems = [*_declared_problems(entry)] or attempt(entry)
    except LossregError as error:
        return error.message
    return "; ".join(problems) or None


def _declared_problems(entry: Entry) -> Iterator[str]:
    """What is wrong with what is declared, as far as the factory's signature and the registries tell."""
    component, signature = entry.component, entry.signature
    unknown = [name for name in component.known_parameters if name not in signature.parameters and not signature.open]
    if unknown and entry.provenance.plugin != BUILTIN:  # whose rows are those of the newest torch
        yield f"its factory has no parameter {', '.join(unknown)}: {signature.describe(entry.name, {})}"
    for name, parameter in signature.parameters.items():
        default = component.defaults.get(name, parameter.default)
        if default is not MISSING and not parameter.fits(default):
            yield f"the default {name}={default!r} does not fit {name}: {parameter.type_text}"
    if isinstance(component, Dataset):
        try:
            load_registries().models[component.model]
        except LossregError as error:
            yield f"its model does not exist: {error.message.splitlines()[0]}"


def named(name: str) -> list[EntryPoint]:
    """The entry points of this name, or of the distribution of this name.

    Raises:
        ConfigError: If there is none.
    """
    points = [point for some in scan() for point in some]
    wanted = canonical(name)
    found = [
        point for point in points if wanted in (canonical(point.name), canonical(point.provenance.distribution or ""))
    ]
    if not found:
        known = sorted({word for point in points for word in (point.name, point.provenance.distribution) if word})
        raise ConfigError(f"there is no plugin {name!r}.{did_you_mean(name, known)} Plugins: lossreg plugins")
    return found


def obstacles(points: list[EntryPoint]) -> list[str]:
    """What keeps these entry points from being imported, whatever is in them; one line each."""
    installed = Installed.scan()
    reasons = {point: reason_not_to_load(point, installed, PluginSettings()) for point in points if not point.is_own}
    return [f"{point.distribution} {point.version}: {why.problem}" for point, why in reasons.items() if why]
