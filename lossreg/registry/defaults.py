"""Defaults of parameters that are not what they were when a run was recorded."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from lossreg.errors import LossregError
from lossreg.registry.entry import RegistryEntry


def changed_defaults(
    entry: RegistryEntry[Any], recorded: Mapping[str, Any], written: Collection[str]
) -> dict[str, tuple[Any, Any]]:
    """Parameter -> its default then and now, where they differ.

    Args:
        entry: The component as it is now.
        recorded: All parameters that it was built with.
        written: Those that were set, and so were no defaults. What the runner supplies is none either.
    """
    defaults = entry.expanded(entry.component.defaults)
    supplied = {*written, *entry.component.runtime_args}
    found = {}
    for name, then in recorded.items():
        if name in supplied or name not in defaults:
            continue
        now = defaults[name]
        if _is_plain(then) and _is_plain(now) and _key(then) != _key(now):
            try:
                value = entry.checked({name: then})[name]
            except LossregError:  # a text for what JSON does not have, such as infinity
                continue
            if _key(value) != _key(now):
                found[name] = then, now
    return found


def _is_plain(value: Any) -> bool:
    if isinstance(value, list | tuple):
        return all(map(_is_plain, value))
    return value is None or isinstance(value, bool | int | float | str)


def _key(value: Any) -> Any:
    """Equal for what JSON cannot tell apart."""
    if isinstance(value, list | tuple):
        return tuple(map(_key, value))
    return str(value) if isinstance(value, float) and value in (float("inf"), float("-inf")) else value
