"""Curves: what each cell's metrics were over a run, as plain numbers, no more of them than a picture shows."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import attrs

from lossreg.past_runs.cells import Cell
from lossreg.past_runs.metrics import LOSS, direction, directions_of, is_measure, main_metric, measure_of, metrics_in
from lossreg.reports.amounts import Amount
from lossreg.training.choosing import Directions

AXES = ("epoch", "step", "seconds")
POINTS = 400  # of a curve: as many as a picture of this width shows
BUDGET = 120_000  # points of a page; more cells have fewer each
FEWEST = 60
EACH_STEP = " (each logged step)"
SHOWN = 8  # cells that are drawn at first: as many as can be told apart


@attrs.frozen
class Curve:
    """A line.

    Attributes:
        key: By which it is switched on and off; the same in all charts of a page.
        name: As the legend has it.
        x: Axis -> where the points are.
        y: The means over the runs; None where no run has a number.
        deviations: Of each point, or None; empty if every point is of a single run.
        counts: Of how many runs each point is.
    """

    key: int
    name: str
    x: Mapping[str, list[float]]
    y: list[float | None]
    deviations: list[float | None]
    counts: list[int]


@attrs.frozen
class Chart:
    """Curves of one metric, or of one measure on several splits.

    Attributes:
        name: Of the metric or the measure.
        axes: What can be on the horizontal axis.
        better: `greater` or `smaller`; None where that is not known.
        curves: At least one.
        note: What a reader should know of it, or nothing.
    """

    name: str
    axes: tuple[str, ...]
    better: str | None
    curves: tuple[Curve, ...]
    note: str = ""


def charts_of(cells: Sequence[Cell]) -> list[Chart]:
    """The charts of a page, the one to begin with first."""
    per_cell = [_curves(cell, kind) for cell in cells for kind in ("epoch", "step")]
    epochs, steps = per_cell[::2], per_cell[1::2]
    most = max(FEWEST, min(POINTS, BUDGET // max(1, sum(map(len, per_cell)))))
    if len(cells) == 1:
        return [*_by_measure(epochs[0], most, directions_of(cells[0].runs)), *_by_metric(cells, steps, most, EACH_STEP)]
    return [*_by_metric(cells, epochs, most), *_by_metric(cells, steps, most, EACH_STEP)]


def first_shown(cells: Sequence[Cell], finals: Sequence[Amount | None], better: str | None) -> list[int]:
    """The cells that are drawn at first: all, or of many the best ones.

    Args:
        cells: All of them.
        finals: What each reached.
        better: As of a chart.
    """
    if len(cells) <= SHOWN:
        return list(range(len(cells)))
    sign = -1 if better == "greater" else 1
    reached = [(amount is None, sign * amount.mean if amount else 0, index) for index, amount in enumerate(finals)]
    return sorted(index for _, _, index in sorted(reached)[:SHOWN])


def _by_metric(
    cells: Sequence[Cell], curves: Sequence[Mapping[str, Curve]], most: int, suffix: str = ""
) -> Iterator[Chart]:
    """A chart for each metric, with a curve for each cell."""
    metrics = {metric: None for found in curves for metric in found}
    first = main_metric(curves)
    directions = directions_of(run for cell in cells for run in cell.runs)
    for metric in sorted(metrics, key=lambda metric: metric != first):
        members = [
            attrs.evolve(thinned(found[metric], most), key=index, name=cell.label)
            for index, (cell, found) in enumerate(zip(cells, curves, strict=True))
            if metric in found
        ]
        better = direction(metric, directions)
        yield Chart(f"{metric}{suffix}", _axes(members), better, tuple(members), _note(metric, cells))


def _by_measure(curves: Mapping[str, Curve], most: int, directions: Directions) -> Iterator[Chart]:
    """A chart for each measure, with a curve for each split: what there is to compare within one cell."""
    measures: dict[str, list[str]] = {}
    for metric in curves:
        measures.setdefault(measure_of(metric), []).append(metric)
    # The loss is what training and validation both have.
    for measure in sorted(measures, key=lambda measure: measure != LOSS):
        members = [
            attrs.evolve(thinned(curves[metric], most), key=key, name=metric.replace("_after", " (after)"))
            for key, metric in enumerate(sorted(measures[measure], key=lambda one: not one.startswith("train")))
        ]
        yield Chart(measure, _axes(members), direction(measures[measure][0], directions), tuple(members))


def _axes(curves: Sequence[Curve]) -> tuple[str, ...]:
    return tuple(axis for axis in AXES if all(axis in curve.x for curve in curves))


def _note(metric: str, cells: Sequence[Cell]) -> str:
    losses = {run.components.get("loss") for cell in cells for run in cell.runs}
    if is_measure(metric) and measure_of(metric) == LOSS and len(losses) > 1:
        return (
            "Values of different losses are on different scales: compare the shapes of these curves, not their heights."
        )
    return ""


def _curves(cell: Cell, kind: str) -> dict[str, Curve]:
    """Metric -> its curve, from the rows of a kind."""
    place = "epoch" if kind == "epoch" else "step"
    runs = [{row[place]: row for row in run.rows[kind]} for run in cell.runs]
    places = sorted({number for rows in runs for number in rows})
    at = [[rows[number] for rows in runs if number in rows] for number in places]
    x = _places(places, at, runs) if kind == "epoch" else {"step": [float(number) for number in places]}
    metrics = metrics_in(row for rows in at for row in rows)
    return {metric: _curve(metric, x, at) for metric in metrics}


def _curve(metric: str, x: Mapping[str, list[float]], at: Sequence[Sequence[Mapping[str, Any]]]) -> Curve:
    amounts = [Amount.of(row.get(metric) for row in rows) for rows in at]
    several = any(amount and amount.count > 1 for amount in amounts)
    return Curve(
        0,
        metric,
        x,
        [amount.mean if amount else None for amount in amounts],
        [amount.deviation if amount else None for amount in amounts] if several else [],
        [amount.count if amount else 0 for amount in amounts],
    )


def _places(
    epochs: Sequence[int], at: Sequence[Sequence[Mapping[str, Any]]], runs: Sequence[Mapping[int, Mapping[str, Any]]]
) -> dict[str, list[float]]:
    """Axis -> where the epochs are: seconds are those of training so far, a mean over the runs."""
    x = {
        "epoch": [float(epoch) for epoch in epochs],
        "step": [sum(row["step"] for row in rows) / len(rows) for rows in at],
    }
    taken = [
        dict(zip(rows, itertools.accumulate(_seconds(row) for row in rows.values()), strict=True)) for rows in runs
    ]
    if all(_seconds(row) > 0 for rows in at for row in rows):
        means = (Amount.of(one.get(epoch) for one in taken) for epoch in epochs)
        # Where a slow run ended early, the mean over the others may be less than before it.
        x["seconds"] = list(itertools.accumulate((amount.mean for amount in means if amount), max))
    return x


def _seconds(row: Mapping[str, Any]) -> float:
    value = row.get("seconds")
    return float(value) if isinstance(value, int | float) else 0.0


def thinned(curve: Curve, most: int) -> Curve:
    """A curve of at most about so many points: of each stretch its lowest and its highest stay, and both ends.

    Example:
        >>> y = [0.0] * 1000
        >>> y[500] = 1.0
        >>> thin = thinned(Curve(0, "", {"step": list(range(1000))}, y, [], [1] * 1000), 100)
        >>> len(thin.y) <= 100, max(thin.y), thin.x["step"][0], thin.x["step"][-1]
        (True, 1.0, 0, 999)
    """
    count = len(curve.y)
    if count <= most:
        return curve
    stretches = max(1, (most - 2) // 2)
    kept = {0, count - 1}
    for stretch in range(stretches):
        inside = range(stretch * count // stretches, (stretch + 1) * count // stretches)
        numbers = [(value, index) for index in inside if (value := curve.y[index]) is not None]
        kept |= {min(numbers)[1], max(numbers)[1]} if numbers else {inside[0]}
    places = sorted(kept)
    return attrs.evolve(
        curve,
        x={axis: [values[index] for index in places] for axis, values in curve.x.items()},
        y=[curve.y[index] for index in places],
        deviations=[curve.deviations[index] for index in places] if curve.deviations else [],
        counts=[curve.counts[index] for index in places],
    )
