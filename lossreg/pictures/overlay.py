"""Several runs in one picture, for `lossreg plot`: a curve for each cell, whose runs differ in the seed alone."""

from __future__ import annotations

import logging
import math
import statistics
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import attrs

from lossreg.errors import ConfigError
from lossreg.past_runs.cells import Cell, cells_of
from lossreg.pictures.end_labels import MAX_LENGTH, EndLabel, label_ends
from lossreg.pictures.series import AXES, Axis, Series, choose_metric, metrics_of, series_of
from lossreg.pictures.style import MAX_CURVES, Look, clipped, drawing, name_axes, new_figure
from lossreg.training.record.reading import PastRun
from lossreg.values import one_line

if TYPE_CHECKING:
    from matplotlib.figure import Figure

logger = logging.getLogger("lossreg")

_RANGE_WIDTH = 4  # points: of the range over seeds where there is one epoch


@attrs.frozen
class Band:
    """The curve of a cell.

    Attributes:
        label: What tells the cell from the others.
        mean: The mean of its runs at each point.
        low: The least value of a run there; the same as the mean for one run.
        high: The greatest.
        runs: How many runs it has.
    """

    label: str
    mean: Series
    low: list[float]
    high: list[float]
    runs: int


def overlay_figure(
    runs: Sequence[PastRun],
    metric: str | None,
    axis: Axis,
    *,
    log: bool = False,
    labels: Mapping[str, str] | None = None,
) -> Figure:
    """Draws a metric of several runs.

    Args:
        runs: The runs; those that have not come to any metric are left out with a warning.
        metric: A column of metrics.jsonl; None is the one that they are most likely compared by.
        axis: What is on x.
        log: Whether y is logarithmic.
        labels: Run directory -> the label that a comparison gave its cell.

    Raises:
        ConfigError: If the runs cannot be drawn in one picture.
    """
    measured = _measured(runs)
    metric = choose_metric(measured, metric)
    _warn_of_losses(measured, metric)
    cells = _measured_cells(cells_of(runs, labels), measured)
    if len(cells) > MAX_CURVES:
        raise ConfigError(
            f"these runs make {len(cells)} curves, but no more than {MAX_CURVES} can be told apart in one picture: "
            "name fewer runs"
        )
    bands = [band_of(cell, metric, axis) for cell in cells]
    _check_drawable(bands, metric, axis, log=log)
    with drawing():
        return _draw(bands, metric, axis, log=log)


def _measured(runs: Sequence[PastRun]) -> list[PastRun]:
    found = []
    for run in runs:
        if metrics_of(run):
            found.append(run)
            continue
        why = f" ({run.status}{f': {run.reason}' if run.reason else ''})"
        logger.warning("%s has no metrics%s and is left out", one_line(str(run.directory)), why)
    if not found:
        raise ConfigError("there is nothing to draw: no run has come to the end of an epoch")
    return found


def _measured_cells(cells: Sequence[Cell], measured: Sequence[PastRun]) -> list[Cell]:
    """The cells with those of their runs that have metrics; one that is alone needs no label."""
    places = {run.directory for run in measured}
    found = (
        attrs.evolve(
            cell,
            label=cell.label if len(cells) > 1 else "",
            runs=tuple(run for run in cell.runs if run.directory in places),
        )
        for cell in cells
    )
    return [cell for cell in found if cell.runs]


def _warn_of_losses(runs: Sequence[PastRun], metric: str) -> None:
    losses = {run.components.get("loss") for run in runs}
    if metric.endswith("_loss") and len(losses) > 1:
        logger.warning("%s is of different losses here, whose values cannot be compared", metric)


def band_of(cell: Cell, metric: str, axis: Axis) -> Band:
    """The curve of a cell: mean and range of its runs, as far as all of them have come.

    A range, not a deviation: for the few seeds that runs have, it is what was seen, and it holds on any scale.
    """
    each = [series_of(run, metric, axis) for run in cell.runs]
    if len(each) == 1:
        (only,) = each
        return Band(cell.label, only, only.y, only.y, 1)
    points = min(len(series.y) for series in each)
    if points < max(len(series.y) for series in each):
        logger.warning(
            "of %d seeds%s the curve ends where the first of them ends",
            len(each), f" ({cell.label})" if cell.label else "",
        )  # fmt: skip
    heights = list(zip(*(series.y[:points] for series in each), strict=True))
    places = zip(*(series.x[:points] for series in each), strict=True)
    mean = Series([statistics.fmean(at) for at in places], [statistics.fmean(at) for at in heights])
    low, high = ([pick(at) if all(map(math.isfinite, at)) else math.nan for at in heights] for pick in (min, max))
    return Band(cell.label, mean, low, high, len(each))


def _check_drawable(bands: Sequence[Band], metric: str, axis: Axis, *, log: bool) -> None:
    if not any(band.mean.has_points for band in bands):
        raise ConfigError(f"there is nothing to draw: {metric} over {AXES[axis]} has no finite value")
    if log and not any(value > 0 for band in bands for value in band.mean.y):
        raise ConfigError(f"{metric} is nowhere above 0, which --log would need: leave it out")


def _draw(bands: Sequence[Band], metric: str, axis: Axis, *, log: bool) -> Figure:
    counts = sorted({band.runs for band in bands})
    several = [count for count in counts if count > 1]
    heading = []
    if several:
        how_many = f"{several[0]}" if len(several) == 1 else f"{several[0]} to {several[-1]}"
        heading.append(f"line: mean of {how_many} seeds; band: their range")
    names, key = _names([band.label for band in bands])
    figure, (panel,) = new_figure(1, 3.9 if len(bands) <= 20 else 4.9, heading, key)
    labels = []
    for number, (band, name) in enumerate(zip(bands, names, strict=True)):
        look = Look.of(number)
        if band.runs > 1:
            # One point has no area: there the range is a line.
            width = 0 if len(band.mean.x) > 1 else _RANGE_WIDTH
            panel.fill_between(band.mean.x, band.low, band.high, color=look.colour, alpha=0.16, linewidth=width)
        (line,) = panel.plot(band.mean.x, band.mean.y, **look.line(len(band.mean.x)))
        if band.mean.has_points:
            labels.append(EndLabel(line, name, look.pattern))
    if log:
        panel.set_yscale("log", nonpositive="mask")
    panel.set_title(metric)
    panel.margins(x=0.02)
    name_axes([panel], AXES[axis], whole=axis != "seconds")
    label_ends(figure, [(panel, labels if any(one.text for one in labels) else [])])
    return figure


def _names(labels: Sequence[str]) -> tuple[list[str], list[str]]:
    """What stands at the curves' ends, and the lines below the picture that say more where that is not enough."""
    short = [clipped(label, MAX_LENGTH) for label in labels]
    if len(set(short)) == len(labels):
        return short, []
    numbered = [str(number) for number in range(1, len(labels) + 1)]
    return numbered, [f"{number}: {label}" for number, label in zip(numbered, labels, strict=True)]
