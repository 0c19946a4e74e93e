"""What a comparison found: each run, each cell over its seeds, and the verdict. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.comparison.naming import Cell
from lossreg.comparison.statistics import CONFIDENCE, Difference, Spread, paired, spread
from lossreg.past_runs.metrics import direction, judging_metric, measure_of
from lossreg.training.choosing import BY_NAME, Directions, gets_greater
from lossreg.training.record.reading import ENDED, PastRun
from lossreg.validation import Target


@attrs.frozen
class Attempt:
    """A run of a cell, as far as it came.

    Attributes:
        seed: Its seed.
        directory: The name of its run directory.
        status: That of run.json; `missing` if it has none.
        reason: Why it failed or ended early, or None.
        epochs: How many are recorded.
        seconds: How long it took, evaluation included; None if that is not known.
        final: Metric -> value of the weights that were kept.
        best: Metric -> the best value of any epoch, for those that each epoch has.
        target_epochs: Epochs until the target was reached, or None.
        target_seconds: Seconds of training until then, without evaluation, or None.
        directions: Which values are better of the metrics that it named.
    """

    seed: int
    directory: str
    status: str
    reason: str | None = None
    epochs: int = 0
    seconds: float | None = None
    final: Mapping[str, float] = attrs.field(factory=dict)
    best: Mapping[str, float] = attrs.field(factory=dict)
    target_epochs: int | None = None
    target_seconds: float | None = None
    directions: Directions = BY_NAME

    @property
    def is_done(self) -> bool:
        """Whether it came to an end of its own."""
        return self.status in ENDED

    @classmethod
    def of(cls, past: PastRun, seed: int, target: Target | None) -> Attempt:
        """What a run directory tells."""
        rows = past.rows["epoch"]
        reached = _reached(rows, target)
        return cls(
            seed,
            past.directory.name,
            past.status,
            past.reason,
            past.epochs_done,
            past.seconds,
            {name: value for name, value in past.final.items() if _is_metric(name) and isinstance(value, int | float)},
            _best(rows, past.directions),
            None if reached is None else reached + 1,
            None if reached is None else sum(_number(row.get("seconds")) or 0.0 for row in rows[: reached + 1]),
            past.directions,
        )


@attrs.frozen
class CellResult:
    """A cell over its seeds.

    Attributes:
        cell: What it is.
        runs: Each seed's.
        summary: `test_accuracy` and so on (of the weights that were kept), `best_test_accuracy` and so on, `seconds`,
            `target_epochs` and `target_seconds` (of the runs that reached it) -> mean and standard deviation over the
            runs that are done.
        difference: Against the reference; None for the reference itself, or where nothing can be compared.
    """

    cell: Cell
    runs: tuple[Attempt, ...]
    summary: Mapping[str, Spread]
    difference: Difference | None = None

    @property
    def label(self) -> str:
        """What differs from the other cells."""
        return self.cell.label

    @property
    def done(self) -> list[Attempt]:
        """The runs that came to an end of their own."""
        return [run for run in self.runs if run.is_done]

    def finals(self, metric: str) -> dict[int, float]:
        """Seed -> the final value of a metric."""
        return {run.seed: run.final[metric] for run in self.done if metric in run.final}


@attrs.frozen
class Verdict:
    """What the comparison says, in one sentence.

    Attributes:
        sentence: It.
        best: The label of the cell that is best by the metric for choosing; None if no run is done.
        told_apart: Whether the interval of every difference that the sentence is about excludes 0.
        seeds_needed: About how many seeds would tell the two closest apart, or None.
    """

    sentence: str
    best: str | None = None
    told_apart: bool = False
    seeds_needed: int | None = None


@attrs.frozen
class Comparison:
    """A comparison, as far as it came.

    Attributes:
        directory: Where its runs and files are.
        cells: The cells, best first; those without a finished run last.
        metric: The metric of the test split that is compared, or None if no run is done.
        chosen_by: The metric by which the best cell was chosen.
        reference: The label of the cell that the others are compared with: the baseline, or the best.
        target: What runs were timed to, or None.
        notes: What a reader should know of the numbers.
        verdict: The answer.
        seconds: How long this call took.
        is_whole: Whether every run is done.
    """

    directory: Path
    cells: tuple[CellResult, ...]
    metric: str | None
    chosen_by: str | None
    reference: str | None
    target: str | None
    notes: tuple[str, ...]
    verdict: Verdict
    seconds: float
    is_whole: bool

    def __getitem__(self, label: str) -> CellResult:
        """The cell with this label."""
        return next(result for result in self.cells if result.label == label)

    def table(self) -> str:
        """The table, a line for each cell."""
        from lossreg.comparison.tables import table_lines  # it reads what is defined here

        return "\n".join(table_lines(self))

    def __str__(self) -> str:
        """The table and the verdict, as `lossreg compare` shows them."""
        return "\n".join([self.table(), "", *self.notes, self.verdict.sentence])

    def to_json(self) -> dict[str, Any]:
        """The comparison as plain values: what is in compare.json, without its `format`."""
        return {
            "directory": str(self.directory),
            "metric": self.metric,
            "better": None if self.metric is None else direction(self.metric, directions_of(self.cells)),
            "chosen_by": self.chosen_by,
            "reference": self.reference,
            "confidence": CONFIDENCE,
            "target": self.target,
            "seconds": round(self.seconds, 3),
            "differs": list(dict.fromkeys(key for result in self.cells for key in result.cell.differs)),
            "cells": [_cell_json(result) for result in self.cells],
            "notes": list(self.notes),
            "verdict": attrs.asdict(self.verdict),
        }


def summarise(cell: Cell, runs: Sequence[Attempt]) -> CellResult:
    """A cell over its seeds, without a difference yet."""
    done = [run for run in runs if run.is_done]
    columns: dict[str, list[float]] = {}
    for run in done:
        values: dict[str, float | int | None] = {
            **run.final,
            **{f"best_{name}": value for name, value in run.best.items()},
        }
        values |= {"seconds": run.seconds, "target_epochs": run.target_epochs, "target_seconds": run.target_seconds}
        for name, value in values.items():
            if value is not None:
                columns.setdefault(name, []).append(value)
    found = {name: spread(values) for name, values in columns.items()}
    return CellResult(cell, tuple(runs), {name: one for name, one in found.items() if one is not None})


def directions_of(results: Sequence[CellResult]) -> Directions:
    """Which values are better of the metrics that the runs named."""
    return {name: better for result in results for run in result.runs for name, better in run.directions.items()}


def metric_of(results: Sequence[CellResult]) -> tuple[str | None, str | None]:
    """The metric of the test split that is compared, and the metric that chooses.

    The second is of the validation split where all runs have one.
    """
    finals = [run.final for result in results for run in result.done]
    common = set(finals[0]).intersection(*finals) if finals else set()
    metric = judging_metric({name for name in common if name.startswith("test_")}, directions_of(results))
    choosing = None if metric is None else f"validation_{measure_of(metric)}"
    return metric, choosing if choosing in common else metric


def ranked(results: Sequence[CellResult], chosen_by: str) -> list[CellResult]:
    """The cells, best first; those without a finished run last."""
    sign = -1 if gets_greater(chosen_by, directions_of(results)) else 1

    def order(result: CellResult) -> tuple[int, float]:
        found = result.summary.get(chosen_by)
        return (1, 0.0) if found is None else (0, sign * found.mean)

    return sorted(results, key=order)


def with_differences(results: Sequence[CellResult], reference: CellResult, metric: str) -> list[CellResult]:
    """Each cell with its difference to the reference."""
    theirs, greater = reference.finals(metric), gets_greater(metric, directions_of(results))
    return [
        result
        if result is reference
        else attrs.evolve(
            result,
            difference=paired(result.finals(metric), theirs, greater_is_better=greater),
        )
        for result in results
    ]


def _reached(rows: Sequence[Mapping[str, Any]], target: Target | None) -> int | None:
    """The first row that reached the target."""
    if target is None:
        return None
    reached = (index for index, row in enumerate(rows) if target.is_reached(_number(row.get(target.metric))))
    return next(reached, None)


def _best(rows: Sequence[Mapping[str, Any]], directions: Directions) -> dict[str, float]:
    names = [name for name in (rows[0] if rows else {}) if name.startswith(("test_", "validation_"))]
    best = {}
    for name in names:
        values = [value for row in rows if (value := _number(row.get(name))) is not None]
        if values:
            best[name] = max(values) if gets_greater(name, directions) else min(values)
    return best


def _is_metric(name: str) -> bool:
    return name.startswith(("train_", "test_", "validation_"))


def _number(value: object) -> float | None:
    """A number of a row, which may hold anything."""
    return value if isinstance(value, int | float) else None


def _is_written(field: Any, value: object) -> bool:
    del value
    return bool(field.name != "directions")  # each run.json has them


def _cell_json(result: CellResult) -> dict[str, Any]:
    return {
        "name": result.cell.name,
        "asked": result.cell.asked or result.cell.name,
        "label": result.label,
        "differs": dict(result.cell.differs),
        "spec": dict(result.cell.spec.items()),
        "runs": [attrs.asdict(run, filter=_is_written) for run in result.runs],
        "summary": {name: attrs.asdict(one) for name, one in result.summary.items()},
        "difference": None if result.difference is None else attrs.asdict(result.difference),
    }
