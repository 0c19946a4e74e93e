"""pluggy's manager of the loaded plugins, for the hooks that a run calls."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from typing import Any

import pluggy

from lossreg import hookspecs
from lossreg.hookspecs import PROJECT
from lossreg.plugins.provenance import LOCAL, PluginReport


def manager_of(reports: Iterable[PluginReport]) -> pluggy.PluginManager:
    """A pluggy manager that knows the hooks of lossreg and holds the plugins that were loaded.

    It is made when a run needs it: listing names asks each plugin itself, and filling a manager costs more than that.
    """
    manager = pluggy.PluginManager(PROJECT)
    manager.add_hookspecs(hookspecs)
    for report in reports:
        if report.plugin is not None:
            manager.register(report.plugin, registered_name(report))
    return manager


def registered_name(report: PluginReport) -> str:
    """The name under which a manager holds a plugin."""
    # Several local files share one namespace, so their modules tell them apart.
    own = getattr(report.plugin, "__name__", "")
    name = report.provenance.plugin
    return f"{LOCAL}:{own}" if name == LOCAL else name


def implementations(manager: pluggy.PluginManager, hook: str) -> Iterator[tuple[str, Callable[..., Any]]]:
    """The implementations of a hook in pluggy's order, each with its plugin, as functions of keyword arguments."""
    for implementation in reversed(getattr(manager.hook, hook).get_hookimpls()):

        def call(impl: pluggy.HookImpl = implementation, **arguments: Any) -> Any:
            return impl.function(**{name: arguments[name] for name in impl.argnames})

        yield implementation.plugin_name, call
