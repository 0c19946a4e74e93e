"""How cells are told apart: what differs between them, their labels, and the names of their directories."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lossreg.errors import ConfigError, SpecError
from lossreg.past_runs.differences import Part, Subject, differences, labels_of
from lossreg.run_spec import CHECKPOINTING, COMPONENT_FIELDS, RunSpec
from lossreg.spec import ComponentSpec, value_text
from lossreg.suggestions import did_you_mean
from lossreg.training.record.texts import setting_text
from lossreg.values import shown

_DEFAULTS = dict(RunSpec().items())
_UNNAMED = ("seed", *CHECKPOINTING)  # in a name of its own; the same for all cells, and free to change later
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
    subjects = [_subject(spec, known) for spec, known in zip(specs, params, strict=True)]
    differing = differences(subjects)
    return [
        Cell(cell_name(spec), label, {key: _value(spec, key, text) for key, text in differs.items()}, spec)
        for spec, label, differs in zip(specs, labels_of(subjects, differing), differing, strict=True)
    ]


def firsts_of(specs: Sequence[RunSpec], params: Sequence[Mapping[str, Mapping[str, Any]]]) -> list[int]:
    """For each cell the place of the first that is the same, by full ids and the values of all parameters.

    Args:
        specs: As for `make_cells`.
        params: As for `make_cells`.
    """
    first: dict[Any, int] = {}
    keys = [_subject(spec, known).key for spec, known in zip(specs, params, strict=True)]
    return [first.setdefault(key, place) for place, key in enumerate(keys)]


def cell_name(spec: RunSpec) -> str:
    """The name of a cell: what a person looks for, and a hash of all that decides its runs and is not the default."""
    said = {key: value for key, value in spec.items() if key not in _UNNAMED and value != _DEFAULTS[key]}
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
    labels = [cell.label for cell in found or cells]
    known = "; ".join(labels[:20]) + ("; ..." if len(labels) > 20 else "")
    if found:
        raise ConfigError(
            f"baseline (--baseline) {shown(text)} is {len(found)} cells: {known}. Write more of one label"
        )
    raise ConfigError(f"baseline (--baseline) {shown(text)} is not a cell.{did_you_mean(text, labels)} Cells: {known}")


def _subject(spec: RunSpec, known: Mapping[str, Mapping[str, Any]]) -> Subject:
    """What a cell is compared by."""
    components: dict[str, ComponentSpec | None] = {field: getattr(spec, field) for field in COMPONENT_FIELDS}
    return Subject(
        {field: Part() if one is None else Part.of(one, known.get(field, {})) for field, one in components.items()},
        {key: setting_text(value) for key, value in spec.items() if key not in COMPONENT_FIELDS and key != "seed"},
    )


def _value(spec: RunSpec, key: str, text: str) -> Any:
    """The plain value of a setting; of a component its short name, or None, and of a parameter its text."""
    if key in COMPONENT_FIELDS:
        return None if getattr(spec, key) is None else text
    return text if "." in key else dict(spec.items())[key]


def _short(spec: ComponentSpec | None) -> str:
    return "" if spec is None else spec.name.rpartition(".")[2]


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
