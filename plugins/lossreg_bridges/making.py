"""Making the index of the installed version of a package: every component is tried, and what fails is left out.

This imports the package and torch, so it runs in a process of its own.
"""

from __future__ import annotations

import importlib
import importlib.metadata
import re
from collections import Counter
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from lossreg.component import KINDS
from lossreg.component_table import Row
from lossreg.errors import LossregError
from lossreg_bridges.bridge import TYPES, Bridge
from lossreg_bridges.candidates import Candidate
from lossreg_bridges.index import Fields, Index
from lossreg_bridges.trials import try_record

Progress = Callable[[int, int, str], None]

#: Fields that most components of a kind may have in common.
_SHARED = (
    "required", "runtime_args", "defaults", "closure", "modes", "needs", "create_graph", "layout", "interval",
    "input", "target", "averages", "better", "bounds",
)  # fmt: skip


def candidates_of(bridge: Bridge) -> list[Candidate]:
    """What the installed version of the package might offer; imports it."""
    module = importlib.import_module(f"lossreg_{bridge.name}.indexing")
    found: list[Candidate] = list(module.candidates())
    return found


def make_index(
    bridge: Bridge, known: Index | None = None, progress: Progress = lambda *_: None, *, every: bool = False
) -> Index:
    """The index of the installed version.

    Args:
        bridge: The bridge.
        known: The index of another version: what has the same factory and parameters there is not tried again.
        progress: Called with how many components are done, how many there are, and the name of the next.
        every: Whether all members of a family are tried, which takes an hour for timm.
    """
    found = candidates_of(bridge)
    results = []
    families: set[str] = set()
    for number, one in enumerate(found):
        progress(number, len(found), f"{bridge.name}.{one.name}")
        stands_for_it = one.family in families and not every
        fields, problem = (described(one), one.problem) if stands_for_it else tried(one, known)
        if one.family is not None and problem is None:
            families.add(one.family)
        results.append((one, fields, problem))
    progress(len(found), len(found), "")
    return assembled(bridge, results)


def assembled(bridge: Bridge, results: Iterable[tuple[Candidate, Fields, str | None]]) -> Index:
    """The index of components with their fields, and why they are left out.

    Args:
        bridge: The bridge.
        results: Components with what `tried` gives.
    """
    offered: dict[str, dict[str, Fields]] = {}
    left_out: dict[str, dict[str, str]] = {}
    for one, fields, problem in results:
        if problem is None:
            offered.setdefault(one.kind, {})[one.name] = fields
        else:
            left_out.setdefault(one.kind, {})[one.name] = problem
    common = {kind: shared(table.values()) for kind, table in offered.items()}
    own = {
        kind: {
            name: {key: value for key, value in fields.items() if key not in common[kind] or value != common[kind][key]}
            for name, fields in table.items()
        }
        for kind, table in offered.items()
    }
    distribution = importlib.import_module(f"lossreg_{bridge.name}.indexing").DISTRIBUTION
    return Index(bridge.package, importlib.metadata.version(distribution), common, own, left_out)


def described(one: Candidate) -> Fields:
    """The fields of a component without what a trial finds."""
    fields: Fields = as_json({"factory": one.factory, **one.fields})
    return fields


def tried(one: Candidate, known: Index | None) -> tuple[Fields, str | None]:
    """The fields of a component with what its trial found, and why it is left out; or None."""
    fields = described(one)
    if one.problem is not None:
        return fields, one.problem
    former = known.rows(one.kind).get(one.name) if known is not None else None
    if former is not None and all(former.get(key) == value for key, value in fields.items() if key != "summary"):
        return {**former, "summary": fields.get("summary", "")}, None
    try:
        record = Row(one.name, TYPES[one.kind], fields).make()
        return as_json({**fields, **try_record(record, one.example)}), None
    except LossregError as error:
        return fields, short_reason(error.message)


_REASON = 160  # characters


def short_reason(message: str) -> str:
    """Why a component is left out, in one line: without the values that it was tried with, and paths of a machine.

    Example:
        >>> short_reason("vit needs patch_size. vit(patch_size: int, ...)")
        'it needs patch_size'
        >>> short_reason("vnet(dropout=0.5) cannot be built: ValueError: out channels")
        'it cannot be built: ValueError: out channels'
    """
    line = message.partition("\n")[0]
    line = re.sub(r"^\w+ needs (.+?)\. .*", r"it needs \1", line)
    line = re.sub(r"^\w+\(.*?\) (cannot be built: )", r"it \1", line)
    line = re.split(r"\. For details|tensor\(\[| in [\"']?/|\(?\S*/\S*site-packages", line)[0]
    return line if len(line) <= _REASON else f"{line[: _REASON - 1].rsplit(' ', 1)[0]} …"


def shared(rows: Iterable[Mapping[str, Any]]) -> Fields:
    """The values that more than half of the components of a kind have, where all of them have the field."""
    rows = list(rows)
    found = {}
    for key in _SHARED:
        if not all(key in row for row in rows):
            continue
        values = Counter(repr(row[key]) for row in rows)
        most, count = values.most_common(1)[0]
        if count * 2 > len(rows):
            found[key] = next(row[key] for row in rows if repr(row[key]) == most)
    return found


def as_json(value: Any) -> Any:
    """The value as it is read from JSON again."""
    if isinstance(value, Mapping):
        return {str(key): as_json(item) for key, item in value.items()}
    return [as_json(item) for item in value] if isinstance(value, list | tuple) else value


def summary_of(index: Index) -> list[tuple[str, int, int]]:
    """Kind, number of components, number of those left out; for each kind that has any."""
    counts = [(kind, len(index.components.get(kind, {})), len(index.left_out.get(kind, {}))) for kind in KINDS]
    return [row for row in counts if row[1] or row[2]]
