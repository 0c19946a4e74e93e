"""Bridges: plugins of lossreg that offer what another package has, as tables, where that package is installed.

A bridge is an entry point of the group `lossreg.bridges`. Its name is its namespace and an extra of lossreg that
installs the package. It gives way to a plugin of its name that any other distribution offers.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from lossreg.names import canonical, normalize
from lossreg.plugins.checks import collect
from lossreg.plugins.entry_points import EntryPoint, scan
from lossreg.values import shown


def absent_bridges() -> list[EntryPoint]:
    """The bridges to packages that are not installed."""
    return [point for point in scan()[1] if point.bridged_version is None]


def pip_command(points: Iterable[EntryPoint]) -> str:
    """What installs the packages of bridges: `pip install 'lossreg[monai,timm]'`."""
    extras = ",".join(point.name.replace("_", "-") for point in points)
    return f"pip install 'lossreg[{extras}]'"


def offered_if_installed(kind: str, name: str) -> str | None:
    """The packages that are not installed and have a component of this name, as a sentence; or None.

    Args:
        kind: The kind.
        name: A short name or a full id, as it was written.
    """
    plugin, _, short = normalize(name).rpartition(".")
    found: Mapping[str, EntryPoint] = {
        point.name: point
        for point in absent_bridges()
        if (not plugin or canonical(point.name) == plugin) and _has(point, kind, short)
    }
    if not found:
        return None
    have = "has one" if len(found) == 1 else "have one"
    commands = " or ".join(pip_command([point]) for point in found.values())
    return f"no {kind} named {shown(name)} is installed; {' and '.join(found)} {have}: {commands}"


def _has(point: EntryPoint, kind: str, name: str) -> bool:
    """Whether the index that came with a bridge has a name, or an alias of this name."""
    try:
        offered = collect(point.load(), point.name)
        rows = [row for table in offered.tables if table.kind == kind for row in table.rows(None).values()]
    except Exception:  # an index that cannot be read takes nothing from the error that asks for it
        return False
    return any(name in (row.name, *row.aliases) for row in rows)
