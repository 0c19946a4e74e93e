"""Bridges: plugins of lossreg that offer what another package has, as tables, where that package is installed.

A bridge is an entry point of the group `lossreg.bridges`. Its name is its namespace and an extra of lossreg that
installs the package. It gives way to a plugin of its name that any other distribution offers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from lossreg.component_table import Row
from lossreg.names import canonical, normalize
from lossreg.plugins.checks import collect
from lossreg.plugins.entry_points import EntryPoint, scan
from lossreg.values import shown

NAMED = 3  # components of a package, in a line


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


def absent_lines(key: Callable[[str, Row], Any]) -> Iterator[str]:
    """What packages that are not installed have of what is looked for, a line for each of them.

    Args:
        key: Called with the name of a bridge and a component of the index that came with it: what sorts the component,
            or None if it is not looked for.
    """
    for point in absent_bridges():
        keyed = [(found, row) for row in _rows(point) if (found := key(point.name, row)) is not None]
        keyed.sort(key=lambda pair: pair[0])
        if keyed:
            names = [f"{point.name}.{row.name} ({row.kind})" for _, row in keyed[:NAMED]]
            more = f" and {len(keyed) - NAMED:,} more" if len(keyed) > NAMED else ""
            yield f"not installed: {', '.join(names)}{more}: {pip_command([point])}"


def _rows(point: EntryPoint) -> list[Row]:
    """What the index that came with a bridge has."""
    try:
        offered = collect(point.load(), point.name)
        return [row for table in offered.tables for row in table.rows(None).values()]
    except Exception:  # an index that cannot be read takes nothing from what it is read for
        return []


def _has(point: EntryPoint, kind: str, name: str) -> bool:
    """Whether the index that came with a bridge has a name, or an alias of this name."""
    rows = [row for row in _rows(point) if row.kind == kind]
    return any(name in (row.name, *row.aliases) for row in rows)
