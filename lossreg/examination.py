"""A close look at one plugin: everything that is wrong with it, not only the first thing.

`python -m lossreg.examination NAME` prints what it finds as one JSON object; `lossreg plugins doctor` calls it so, in a
process of its own, which a plugin may end, hang or crash without harm.
"""

from __future__ import annotations

import importlib.metadata
import json
import sys
import time
import traceback
from typing import Any

from lossreg.distributions import HOME, EntryPoint, entry_points, unmet_requirement
from lossreg.errors import ConfigError, LossregError
from lossreg.names import normalize
from lossreg.parameters import Signature
from lossreg.plugins import check_hook, collect, describe_error, hooks_of, import_target, provenance_of, refusal
from lossreg.registered import Registered
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
        "module": point.module,
        "requirements": unmet_requirements(point),
        "traceback": None,
        "milliseconds": None,
        "hooks": [],
        "components": [],
        "problem": None,
    }
    started = time.perf_counter()
    try:
        plugin = import_target(point.module)
    except (Exception, SystemExit):
        return {**findings, "traceback": traceback.format_exc()}
    findings["milliseconds"] = round((time.perf_counter() - started) * 1e3, 3)
    for hook in hooks_of(plugin):
        problem = None
        try:
            check_hook(hook, getattr(plugin, hook), point.name)
        except LossregError as error:
            problem = error.message
        findings["hooks"].append({"name": hook, "problem": problem})
    if any(hook["problem"] for hook in findings["hooks"]):
        return findings
    try:
        records = collect(plugin, point.name)
    except (Exception, SystemExit) as error:
        return {**findings, "problem": describe_error(error)}
    for record in records:
        registered = Registered(record, provenance_of(point))
        findings["components"].append(
            {"kind": record.kind, "name": registered.id, "problem": _component_problem(registered)}
        )
    return findings


def _component_problem(registered: Registered[Any]) -> str | None:
    record = registered.record
    try:
        signature = Signature.of(registered.factory, record.leading)
    except LossregError as error:
        return error.message
    unknown = [name for name in record.known_parameters if name not in signature.parameters and not signature.open]
    if unknown:
        return f"its factory has no parameter {', '.join(unknown)}: {signature.describe(registered.name, {})}"
    return None


def unmet_requirements(point: EntryPoint) -> list[str]:
    """What the distribution requires and does not find, one line each."""
    from packaging.requirements import InvalidRequirement, Requirement

    lines = []
    for text in importlib.metadata.requires(point.distribution) or []:
        try:
            requirement = Requirement(text)
        except InvalidRequirement:
            lines.append(f"{text}: cannot be read")
            continue
        if requirement.marker is not None and not requirement.marker.evaluate({"extra": ""}):
            continue
        try:
            installed = importlib.metadata.version(requirement.name)
        except importlib.metadata.PackageNotFoundError:
            lines.append(f"{requirement}: not installed")
            continue
        if not requirement.specifier.contains(installed, prereleases=True):
            lines.append(f"{requirement}: {installed} is installed")
    return lines


def named(name: str) -> list[EntryPoint]:
    """The entry points of this name, or of the distribution of this name.

    Raises:
        ConfigError: If there is none.
    """
    points = entry_points()
    wanted = normalize(name)
    found = [point for point in points if wanted in (normalize(point.name), normalize(point.distribution))]
    if not found:
        known = sorted({word for point in points for word in (point.name, point.distribution)})
        raise ConfigError(f"there is no plugin {name!r}.{did_you_mean(name, known)} Plugins: lossreg plugins")
    return found


def obstacles(points: list[EntryPoint]) -> list[str]:
    """What keeps these entry points from being loaded at all, whatever is in them; one line each."""
    everything = entry_points()
    ours = [point for point in everything if normalize(point.distribution) == HOME]
    found = []
    for point in points:
        claims = [other for other in everything if normalize(other.name) == normalize(point.name)]
        unmet = unmet_requirement(point.requirements, ours[0].version)
        reasons = [] if point in ours else [refusal(point, ours, claims)]
        reasons.append(unmet and f"it requires {unmet}; lossreg {ours[0].version} is installed")
        found += [f"{point.distribution} {point.version}: {reason}" for reason in reasons if reason]
    return found


if __name__ == "__main__":
    print(json.dumps([examine(point) for point in named(sys.argv[1])]))
