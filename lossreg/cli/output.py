"""Components for reading: as plain values, and as columns of text."""

from __future__ import annotations

import contextlib
import json
import math
import os
import shlex
import shutil
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from lossreg.component import Component
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registry import Registry


def component_json(registry: Registry[Any, Any], entry: RegistryEntry[Any]) -> dict[str, Any]:
    """A component as plain values, from what its plugin declares alone."""
    component = entry.component
    return {
        "kind": component.kind,
        "name": registry.short_name(entry),
        "id": entry.id,
        "aliases": list(component.aliases),
        "deprecated": component.deprecated,
        "summary": component.summary,
        "factory": component.factory if isinstance(component.factory, str) else repr(component.factory),
        "parameters": _declared(component),
        "defaults": dict(component.defaults),
        "required": list(component.required),
        "runtime_args": dict(component.runtime_args),
        "nested": component.nested,
        "contract": component.contract(),
        **entry.provenance.to_json(),
    }


def _declared(component: Component) -> list[dict[str, Any]]:
    """The declared parameters; one without a default has to be given, unless the runner supplies it."""
    defaults, supplied = component.defaults, component.runtime_args
    return [
        {
            "name": name,
            "supplied_by_runner": supplied.get(name),
            **({"default": defaults[name]} if name in defaults else {}),
        }
        for name in dict.fromkeys(component.known_parameters)
    ]


def json_text(value: object) -> str:
    """A value as JSON: objects as what Python shows of them, and numbers without end as texts, `"inf"`.

    Example:
        >>> json_text({"limit": float("inf"), "factor": 0.5})
        '{"limit": "inf", "factor": 0.5}'
    """
    try:
        return json.dumps(value, default=repr, allow_nan=False)
    except ValueError:  # there is one, which JSON has no word for
        return json.dumps(_finite(value), default=repr, allow_nan=False)


def _finite(value: Any) -> Any:
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)
    if isinstance(value, Mapping):
        return {key: _finite(one) for key, one in value.items()}
    return [_finite(one) for one in value] if isinstance(value, list | tuple) else value


def resume_command(directory: Path) -> str:
    """What goes on with a run that was broken off.

    Example:
        >>> resume_command(Path("/runs/a b"))
        "lossreg run --resume '/runs/a b'"
    """
    return f"lossreg run --resume {shlex.quote(str(_short(directory)))}"


def _short(directory: Path) -> Path:
    """From the working directory, where that is shorter."""
    with contextlib.suppress(OSError, ValueError):  # the working directory was removed, or is on another drive
        return Path(min(os.path.relpath(directory), str(directory), key=len))
    return directory


def next_commands(directory: Path, *, is_repeatable: bool) -> list[str]:
    r"""What is worth calling after a run, in three lines at most.

    Example:
        >>> print(*next_commands(Path("/runs/a b"), is_repeatable=True), sep="\n")
        lossreg report '/runs/a b'            a page about it (lossreg plot: its curves alone)
        lossreg predict '/runs/a b' FILE      what its model says of new inputs (lossreg eval: its metrics again)
        lossreg run -c '/runs/a b/run.json'   the same run again
    """
    directory = _short(directory)
    place, file = shlex.quote(str(directory)), shlex.quote(str(directory / "run.json"))
    commands = [
        (f"lossreg report {place}", "a page about it (lossreg plot: its curves alone)"),
        (f"lossreg predict {place} FILE", "what its model says of new inputs (lossreg eval: its metrics again)"),
    ]
    if is_repeatable:
        commands.append((f"lossreg run -c {file}", "the same run again"))
    width = max(len(command) for command, _ in commands)
    return [f"{command:<{width}}   {what}" for command, what in commands]


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
