"""Records for reading: as plain values, and as columns of text."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Sequence
from typing import Any

from lossreg.registered import Registered
from lossreg.registry import Registry


def component_json(registry: Registry[Any, Any], registered: Registered[Any]) -> dict[str, Any]:
    """A component as plain values, from its record alone."""
    record = registered.record
    return {
        "kind": record.kind,
        "name": registry.short_name(registered),
        "id": registered.id,
        "aliases": list(record.aliases),
        "deprecated": record.deprecated,
        "summary": record.summary,
        "factory": record.factory if isinstance(record.factory, str) else repr(record.factory),
        "defaults": dict(record.defaults),
        "required": list(record.required),
        "runtime_args": dict(record.runtime_args),
        "contract": record.contract(),
        **registered.provenance.to_json(),
    }


def columns(rows: Sequence[Sequence[str]], indent: str = "") -> list[str]:
    """Rows as aligned columns; on a terminal the last column is cut to its width."""
    if not rows:
        return []
    widths = [max(map(len, column)) for column in list(zip(*rows, strict=True))[:-1]]
    # Only a terminal has an edge: what goes to a file or a pipe is whole.
    room = shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize
    lines = []
    for *cells, last in rows:
        head = indent + "".join(f"{cell:<{width}}  " for cell, width in zip(cells, widths, strict=True))
        lines.append((head + _cut(last, max(room - len(head), 20))).rstrip())
    return lines


def _cut(text: str, width: int) -> str:
    return text if len(text) <= width else f"{text[: width - 1]}…"
