"""Where components come from, and how the loading of a plugin went."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Literal

import attrs

from lossreg.component import KINDS, Component
from lossreg.component_table import ComponentTable

BUILTIN = "builtin"  # its components win over a plugin's of the same short name
LOCAL = "local"  # the namespace of what is registered without a distribution

State = Literal["loaded", "failed", "blocked", "incompatible", "aside"]

_VERBS: Mapping[str, str] = {
    "failed": " failed to load",
    "incompatible": " is incompatible",
    "blocked": " is blocked",
    "aside": " steps aside",
}


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
        state: `"loaded"`, `"failed"`, `"blocked"` (not imported, because a setting blocks it), `"incompatible"` (not
            imported, because it needs another lossreg) or `"aside"` (a bridge, not imported, because another
            distribution offers a plugin of its name).
        components: What it offers.
        milliseconds: How long the import and the hooks took.
        problem: Why it failed, or what is odd about it; one line.
        plugin: The module or object itself, if it is loaded.
        tables: Further components that it offers, which are read when they are needed.
    """

    provenance: Provenance
    state: State
    components: tuple[Component, ...] = ()
    milliseconds: float = 0.0
    problem: str | None = None
    plugin: object = attrs.field(default=None, repr=False, eq=False)
    tables: tuple[ComponentTable, ...] = attrs.field(default=(), repr=False, eq=False)

    @property
    def warning(self) -> str | None:
        """The line to warn with, or None."""
        return None if self.problem is None or self.state in ("blocked", "aside") else self.explanation

    @property
    def explanation(self) -> str:
        """The plugin, its distribution, and the problem."""
        return f"plugin {self.provenance.plugin!r} ({self.provenance}){_VERBS.get(self.state, '')}: {self.problem}"


def offers(components: Iterable[Component]) -> Mapping[str, list[str]]:
    """What a plugin offers: kind -> names."""
    by_kind: dict[str, list[str]] = {kind: [] for kind in KINDS}
    for component in components:
        by_kind[component.kind].append(component.name)
    return {kind: sorted(names) for kind, names in by_kind.items() if names}
