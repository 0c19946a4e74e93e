"""How cells are told apart: what differs between them, their labels, and the names of their directories."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import attrs

from lossreg.errors import ConfigError, SpecError
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec
from lossreg.spec import ComponentSpec, value_text
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

_DEFAULTS = dict(RunSpec().items())
_UNFIT = re.compile(r"[^A-Za-z0-9_]+")


@attrs.frozen
class Cell:
    """One combination of choices, which is run with several seeds.

    Attributes:
        name: What the directories of its runs begin with; it stays the same when choices or seeds are added.
        label: What differs from the other cells, as a person reads it.
        differs: Setting, or field and parameter -> value; only what differs between the cells.
        spec: The settings of its runs, with full ids and the first seed.
        asked: The name that it had before its rate was chosen; None if none was.
    """

    name: str
    label: str
    differs: Mapping[str, Any]
    spec: RunSpec
    asked: str | None = None

    def with_seed(self, seed: int) -> RunSpec:
        """The settings of one of its runs."""
        return attrs.evolve(self.spec, seed=seed)

    def directory(self, seed: int) -> str:
        """The name of a run's directory."""
        return f"{self.name}-seed{seed}"


def make_cells(specs: Sequence[RunSpec], params: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[Cell]:
    """Names the cells.

    Args:
        specs: Of each cell, with full ids.
        params: Of each cell, field -> all parameters of its component, defaults too.
    """
    differing = _differing(specs, params)
    fields = {key.partition(".")[0] for differs in differing for key in differs}
    return [
        Cell(cell_name(spec), _label(spec, differs, fields), differs, spec)
        for spec, differs in zip(specs, differing, strict=True)
    ]


def cell_name(spec: RunSpec) -> str:
    """The name of a cell: what a person looks for, and a hash of all that is not the default."""
    said = {key: value for key, value in spec.items() if key != "seed" and value != _DEFAULTS[key]}
    digest = hashlib.sha256(json.dumps(said, sort_keys=True, default=str).encode()).hexdigest()
    parts = [_short(spec.loss), _short(spec.optimizer), digest[:8]]
    return "-".join(_UNFIT.sub("_", part) for part in parts if part)


def find_cell(text: str, cells: Sequence[Cell]) -> Cell:
    """The cell that a person means: by its label, or by as much of it as no other has.

    Raises:
        ConfigError: If there is none, or more than one.
    """
    exact = [cell for cell in cells if text.strip() in (cell.label, cell.name)]
    wanted = _split(text)
    found = exact or [cell for cell in cells if wanted and all(_has(cell, part) for part in wanted)]
    if len(found) == 1:
        return found[0]
    labels = [cell.label for cell in cells]
    known = "; ".join(labels[:20]) + ("; ..." if len(labels) > 20 else "")
    if found:
        raise ConfigError(
            f"baseline (--baseline) {shown(text)} is {len(found)} cells: {known}. Write more of one label"
        )
    raise ConfigError(f"baseline (--baseline) {shown(text)} is not a cell.{did_you_mean(text, labels)} Cells: {known}")


def _differing(specs: Sequence[RunSpec], params: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[dict[str, Any]]:
    """Of each cell, what is not the same in all."""
    rows: list[dict[str, Any]] = [{} for _ in specs]
    for field in _DEFAULTS:
        values = [_name_of(spec, field) for spec in specs]
        if field != "seed" and any(value != values[0] for value in values):
            for row, value in zip(rows, values, strict=True):
                row[field] = value
        if field in COMPONENT_FIELDS:
            _compare_params(field, specs, params, rows)
    return rows


def _compare_params(
    field: str, specs: Sequence[RunSpec], params: Sequence[Mapping[str, Mapping[str, Any]]], rows: list[dict[str, Any]]
) -> None:
    """Adds the parameters of a component that any cell sets and that differ."""
    components: list[ComponentSpec | None] = [getattr(spec, field) for spec in specs]
    names = dict.fromkeys(name for one in components if one for name, _ in one.params)
    for name in names:
        values = [
            _param(one, name, of_cell.get(field, {}) if one else {})
            for one, of_cell in zip(components, params, strict=True)
        ]
        if any(value != values[0] for value in values):
            for row, value in zip(rows, values, strict=True):
                if value is not None:
                    row[f"{field}.{name}"] = value


def _param(spec: ComponentSpec | None, name: str, defaults: Mapping[str, Any]) -> str | None:
    """The text of a parameter's value, written or default; None where there is none."""
    written = dict(spec.params) if spec else {}
    if name in written:
        return value_text(written[name])
    return repr(defaults[name]) if name in defaults else None


def _name_of(spec: RunSpec, field: str) -> Any:
    """The short name of a component, or the plain value of another setting."""
    value = getattr(spec, field)
    if field not in COMPONENT_FIELDS:
        return dict(spec.items())[field]
    return None if value is None else _short(value)


def _short(spec: ComponentSpec | None) -> str:
    return "" if spec is None else spec.name.rpartition(".")[2]


def _label(spec: RunSpec, differs: Mapping[str, Any], fields: Collection[str]) -> str:
    """`dice, sgd(lr=0.1), epochs=5`."""
    parts = []
    for field in _DEFAULTS:
        if field in COMPONENT_FIELDS and field in fields:
            inner = {key.partition(".")[2]: value for key, value in differs.items() if key.startswith(f"{field}.")}
            name = _short(getattr(spec, field)) or f"no {field}"
            written = ", ".join(f"{key}={value}" for key, value in inner.items())
            parts.append(f"{name}({written})" if written else name)
        elif field in differs:
            parts.append(f"{field}={_plain_text(differs[field])}")
    return ", ".join(parts) or ", ".join(filter(None, (_short(spec.loss), _short(spec.optimizer))))


def _plain_text(value: Any) -> str:
    return "none" if value is None else str(value)


def _split(text: str) -> list[str]:
    """The parts of a label: commas inside of brackets separate nothing."""
    parts, depth = [""], 0
    for character in text:
        depth += (character in "([{") - (character in ")]}")
        if character == "," and depth == 0:
            parts.append("")
        else:
            parts[-1] += character
    return [part.strip() for part in parts if part.strip()]


def _has(cell: Cell, part: str) -> bool:
    """Whether a cell has a part of a label."""
    if part in _split(cell.label) or part in (f"{key}={value}" for key, value in cell.differs.items()):
        return True
    try:
        wanted = ComponentSpec.parse(part)
    except SpecError:
        return False
    own = [getattr(cell.spec, field) for field in COMPONENT_FIELDS]
    return any(
        one is not None
        and wanted.name in (one.name, _short(one))
        and {key: value_text(value) for key, value in wanted.params}.items()
        <= {key: value_text(value) for key, value in one.params}.items()
        for one in own
    )
