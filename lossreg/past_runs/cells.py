"""Cells: past runs, those together that differ in their seed alone, and the labels of each. Needs no torch."""

from __future__ import annotations

import functools
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lossreg.errors import SpecError
from lossreg.past_runs.differences import Part, Subject, differences, labels_of
from lossreg.run_spec import COMPONENT_FIELDS, RunSpec
from lossreg.spec import ComponentSpec
from lossreg.training.record.reading import ENDED, PastRun
from lossreg.training.record.texts import setting_text
from lossreg.values import one_line

SEED = "seed"
NOT_RECORDED = "not recorded"
DIRECTORY = "directory"  # what runs differ in that differ in no setting


@attrs.frozen
class Cell:
    """Runs of the same settings, each with a seed of its own.

    Attributes:
        label: What tells it from the other cells; of a cell that is alone, its parts.
        differing: Setting, or field and parameter -> its text; the same keys in all cells.
        runs: In the order of their seeds.
    """

    label: str
    differing: Mapping[str, str]
    runs: tuple[PastRun, ...]

    @property
    def counted(self) -> tuple[PastRun, ...]:
        """The runs whose final metrics count: those that came to their end, or all where none did."""
        whole = tuple(run for run in self.runs if run.status in ENDED)
        return whole or self.runs

    @property
    def seeds(self) -> list[str]:
        """The seeds of its runs."""
        return [run.spec.get(SEED, NOT_RECORDED) for run in self.runs]

    @property
    def status(self) -> str:
        """How its runs ended: `finished`, or `2 finished, 1 failed`."""
        statuses = [run.status for run in self.runs]
        each = dict.fromkeys(statuses)
        return statuses[0] if len(each) == 1 else ", ".join(f"{statuses.count(one)} {one}" for one in each)


def cells_of(runs: Sequence[PastRun], labels: Mapping[str, str] | None = None) -> list[Cell]:
    """The cells of some runs, in the order in which their first runs come.

    Runs that differ in nothing, not even the seed, are cells of their own, and named by their directories: a repeat
    tells nothing of chance.

    Args:
        runs: The runs.
        labels: Run directory -> the label that a comparison gave its cell. They are taken where each cell has one.
    """
    members: dict[Any, tuple[Subject, list[PastRun]]] = {}
    for run in runs:
        subject = subject_of(run)
        members.setdefault(subject.key, (subject, []))[1].append(run)
    subjects = [subject for subject, _ in members.values()]
    differing = differences(subjects)
    keys = dict.fromkeys(key for differs in differing for key in differs)
    cells = [
        Cell(label, {key: differs.get(key, "none") for key in keys}, tuple(sorted(same, key=_by_seed)))
        for label, differs, (_, same) in zip(labels_of(subjects, differing), differing, members.values(), strict=True)
    ]
    return _named(cells, labels) or _with_seeds(_apart(cells))


def subject_of(run: PastRun) -> Subject:
    """What a run is compared by."""
    # A setting that an older version did not have is at its default.
    settings = {**_defaults(), **run.spec}
    return Subject(
        {field: _part(run, field) for field in COMPONENT_FIELDS},
        {key: text for key, text in settings.items() if key not in COMPONENT_FIELDS and key != SEED},
    )


@functools.cache
def _defaults() -> dict[str, str]:
    return {key: setting_text(value) for key, value in RunSpec().items()}


def _part(run: PastRun, field: str) -> Part:
    text = run.components.get(field)
    if text is None:
        return Part()
    if field in run.objects:
        return Part(text, text)
    asked = _asked(run, field)
    spec = _parsed(text if asked is None else asked)
    if spec is None:
        return Part(text, text)
    facts = run.facts.get("components")
    built = facts.get(field) if isinstance(facts, dict) else None
    params = built.get("params") if isinstance(built, dict) else None
    known = params if isinstance(params, dict) else {}
    if asked is not None:
        known = {name: value for name, value in known.items() if name not in dict(spec.params)}
    return Part.of(spec, known)


def _asked(run: PastRun, field: str) -> str | None:
    """A spec as it was asked for, where numbers in it were computed: those of each seed are its own."""
    asked = run.facts.get("from_data")
    text = asked.get(field) if isinstance(asked, dict) else None
    return text if isinstance(text, str) else None


@functools.lru_cache(maxsize=1024)  # most of the texts of many runs are the same
def _parsed(text: str) -> ComponentSpec | None:
    try:
        return ComponentSpec.parse(text)
    except SpecError:  # of a run.json that was changed by hand
        return None


def _named(cells: Sequence[Cell], labels: Mapping[str, str] | None) -> list[Cell]:
    """The cells by the labels of their comparison; none if not each has its own."""
    named = [{(labels or {}).get(str(run.directory)) for run in cell.runs} for cell in cells]
    ours = [label for names in named if len(names) == 1 and (label := next(iter(names))) is not None]
    if len({*ours}) < len(cells):
        return []
    return [attrs.evolve(cell, label=label) for cell, label in zip(cells, ours, strict=True)]


def _apart(cells: Sequence[Cell]) -> list[Cell]:
    """The cells, with runs of the same seed apart from each other."""
    repeated = [max(Counter(cell.seeds).values()) > 1 for cell in cells]
    if not any(repeated):
        return list(cells)
    apart: list[Cell] = []
    for cell, is_repeated in zip(cells, repeated, strict=True):
        if not is_repeated:
            apart.append(attrs.evolve(cell, differing={**cell.differing, DIRECTORY: ""}))
            continue
        for name, run in zip(_directories(cell.runs), cell.runs, strict=True):
            label = f"{cell.label}, {name}" if cell.differing else name
            apart.append(Cell(label, {**cell.differing, DIRECTORY: name}, (run,)))
    return apart


def _directories(runs: Sequence[PastRun]) -> list[str]:
    """Names of directories; their paths where two have the same name."""
    names = Counter(run.directory.name for run in runs)
    return [one_line(run.directory.name if names[run.directory.name] == 1 else str(run.directory)) for run in runs]


def _with_seeds(cells: Sequence[Cell]) -> list[Cell]:
    """The cells with the seed in the label of a single run, where it is not the same for all."""
    if len({tuple(cell.seeds) for cell in cells}) == 1:
        return list(cells)
    return [
        attrs.evolve(cell, label=f"{cell.label}, seed {cell.seeds[0]}") if len(cell.runs) == 1 else cell
        for cell in cells
    ]


def _by_seed(run: PastRun) -> tuple[int, int, str]:
    text = run.spec.get(SEED, "")
    return (0, int(text), "") if text.isdecimal() and len(text) < 20 else (1, 0, text)
