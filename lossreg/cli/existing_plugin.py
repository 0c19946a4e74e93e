"""A folder that is that of a plugin already: how the plugin comes to offer one more component."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any

from lossreg.cli.new_names import Names
from lossreg.hookspecs import COMPONENT_HOOKS
from lossreg.names import plural


def one_more(folder: Path, names: Names) -> str | None:
    """How the plugin in a folder offers one more component; None if there is no plugin in it.

    Args:
        folder: The folder, which need not be there.
        names: What was to be written.
    """
    points = _entry_points(folder)
    if not points:
        return None
    plugin, module = next(iter(points.items()))
    package = module.partition(":")[0].rpartition(".")[0] or module
    hook = f"lossreg_{plural(names.kind)}"
    factory = f"{package}.MODULE:{names.attribute}"
    row = f'lossreg.{COMPONENT_HOOKS[hook].__name__}("{names.component}", "{factory}", "SUMMARY")'
    return (
        f"it has the plugin {plugin}, which can offer components of every kind. For one more {names.kind}, "
        f"write its code into a module of {package}, and in {module} a function {hook}, marked @lossreg.hookimpl as "
        f"those beside it are, that returns a list with the row {row}; the entry point stays as it is. For an example "
        "to copy from, name a folder elsewhere (--directory)"
    )


def _entry_points(folder: Path) -> dict[str, str]:
    """Plugin -> module, of the pyproject.toml in a folder; none where it has none, or cannot be read."""
    try:
        found: Any = tomllib.loads((folder / "pyproject.toml").read_text(encoding="utf-8"))
        points = found["project"]["entry-points"]["lossreg"]
        return {str(name): str(module) for name, module in points.items()}
    except (OSError, ValueError, KeyError, TypeError, AttributeError):
        return {}
