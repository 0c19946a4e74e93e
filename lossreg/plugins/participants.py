"""The plugins and files that take part in runs: those that have run hooks."""

from __future__ import annotations

import sys
from collections.abc import Iterable, Mapping
from types import ModuleType
from typing import Any

import attrs

from lossreg.hookspecs import COMPONENT_HOOKS
from lossreg.names import canonical
from lossreg.plugins.checks import HOOKS, hooks_of
from lossreg.plugins.local import file_hash
from lossreg.plugins.manager import registered_name
from lossreg.plugins.provenance import PluginReport, Provenance

RUN_HOOKS = tuple(hook for hook in HOOKS if hook not in COMPONENT_HOOKS)


@attrs.frozen
class Participant:
    """A plugin or a file whose run hooks a run calls.

    Attributes:
        name: Under which pluggy's manager holds it.
        provenance: Where it comes from; for an installed plugin, too, with the file of its hooks.
        hooks: Its run hooks.
    """

    name: str
    provenance: Provenance
    hooks: tuple[str, ...]

    def __str__(self) -> str:
        origin = self.provenance
        return f"plugin {origin.plugin!r} ({origin})" if origin.distribution else str(origin)

    def to_json(self) -> dict[str, Any]:
        """What the run record has of it."""
        return {**self.provenance.to_json(), "hooks": list(self.hooks)}

    def is_that_of(self, recorded: Mapping[str, Any]) -> bool:
        """Whether it is the one that a run record has, in whatever state."""
        own = self.provenance
        if own.distribution is None:
            return recorded.get("distribution") is None and (
                own.file == recorded.get("file") or own.sha256 == recorded.get("sha256")
            )
        ours = canonical(own.plugin), canonical(own.distribution)
        return ours == (canonical(str(recorded.get("plugin"))), canonical(str(recorded.get("distribution"))))


def participants(reports: Iterable[PluginReport]) -> tuple[Participant, ...]:
    """Those of the loaded plugins that have run hooks."""
    found = []
    for report in reports:
        if report.plugin is None:
            continue
        hooks = tuple(hook for hook in hooks_of(report.plugin) if hook in RUN_HOOKS)
        if hooks:
            file = report.provenance.file or _file_of(report.plugin)
            provenance = attrs.evolve(report.provenance, file=file, sha256=file_hash(file) if file else None)
            found.append(Participant(registered_name(report), provenance, hooks))
    return tuple(found)


def _file_of(plugin: object) -> str | None:
    """The file of a module, or of the module that an object's class is in."""
    module = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
    return getattr(module, "__file__", None)
