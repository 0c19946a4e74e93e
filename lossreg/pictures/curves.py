"""`curves.png`, the picture of one run: losses, metrics and the learning rate."""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.errors import ConfigError, describe_error
from lossreg.pictures.end_labels import EndLabel, label_ends
from lossreg.pictures.series import AXES, Axis, Series, columns, series_of
from lossreg.pictures.style import (
    COLOURS,
    GREY,
    PATTERNS,
    Look,
    drawing,
    has_matplotlib,
    name_axes,
    new_figure,
    write_picture,
)
from lossreg.training.record.reading import PastRun, read_run
from lossreg.values import one_line

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

NAME = "curves.png"
#: Beginning of a column -> how its curve looks, in all panels: what counts in the end is solid.
_LOOKS = {
    "test": Look("#0072B2", "-"),
    "validation": Look("#D55E00", PATTERNS[3]),
    "train": Look("#000000", PATTERNS[1]),
    "after": Look("#56B4E9", PATTERNS[2]),
    "lr": Look("#000000", "-"),
}
_NO_METRICS = ("lr", "samples_per_second", "gradient_norm")
_WIDE = 100.0  # a loss whose greatest value is so many times its least is drawn on a logarithmic scale

logger = logging.getLogger("lossreg")


def draw_curves(directory: Path) -> None:
    """Makes `curves.png` of a run whose record is complete. A failure is a warning: the run itself is done.

    Without matplotlib, and for a run that has not come to two points, there is no picture.
    """
    if not has_matplotlib():
        return
    try:
        run = read_run(directory)
        if columns(run.rows["epoch"]) or columns(run.rows["step"]):
            write_picture(curves_figure(run), directory / NAME)
    except Exception as error:  # whatever matplotlib makes of the numbers
        logger.warning("%s could not be drawn: %s", one_line(str(directory / NAME)), describe_error(error))


@attrs.frozen
class _Panel:
    """What one panel shows.

    Attributes:
        title: What is above it.
        names: The columns of metrics.jsonl.
    """

    title: str
    names: list[str]


def curves_figure(run: PastRun, axis: Axis | None = None, *, log: bool = False) -> Figure:
    """Draws losses, metrics and the learning rate of a run, in panels above each other.

    Args:
        run: The run.
        axis: What is on x; None is epochs, and steps for a run of very few epochs.
        log: Whether the losses are on a logarithmic scale; they are in any case where they span a wide range.

    Raises:
        ConfigError: If it has not come to any metric.
    """
    rows = [*run.rows["epoch"], *run.rows["step"]]
    panels = [panel for panel in _panels(columns(rows)) if panel.names]
    if not panels:
        raise ConfigError(f"there is nothing to draw: {one_line(str(run.directory))} has no metrics")
    if axis is None:
        axis = "epoch" if len(run.rows["epoch"]) >= 3 else "step"
    with drawing():
        figure, axes = new_figure(len(panels), 0.75 + 1.65 * len(panels), [_heading(run)])
        labels = [
            (one, _draw(one, panel, run, axis, log=log)) for one, panel in zip(axes, panels, strict=True)
        ]  # fmt: skip
        axes[0].margins(x=0.02)
        name_axes(axes, AXES[axis], whole=axis != "seconds")
        _mark_best(axes, run, axis)
        label_ends(figure, labels)
        return figure


def _panels(names: Sequence[str]) -> Iterable[_Panel]:
    losses = [name for name in names if name.endswith(("_loss", "_loss_after"))]
    yield _Panel("loss", losses)
    metrics = [name for name in names if name not in losses and name not in _NO_METRICS]
    families: dict[str, list[str]] = {}
    for name in metrics:
        families.setdefault(name.removeprefix("train_").removeprefix("validation_").removeprefix("test_"), []).append(
            name
        )
    for family, members in list(families.items())[:4]:  # a plugin may log any number of them
        yield _Panel(family, members)
    yield _Panel("learning rate", [name for name in names if name == "lr"])


def _draw(axes: Axes, panel: _Panel, run: PastRun, axis: Axis, *, log: bool) -> list[EndLabel]:
    drawn = []
    heights: list[float] = []
    for number, name in enumerate(panel.names[:7]):
        look = _look(name, number)
        series = _series(run, name, axis)
        if not series.has_points:
            continue
        (line,) = axes.plot(series.x, series.y, **look.line(len(series.x)))
        heights += series.y
        drawn.append(EndLabel(line, "" if name == "lr" else name, look.pattern))
    drawn += _tested(axes, panel, run, axis)
    positive = [value for value in heights if math.isfinite(value)]
    if panel.title == "loss" and positive and min(positive) > 0 and (log or max(positive) > _WIDE * min(positive)):
        axes.set_yscale("log", nonpositive="mask")
    if panel.title == "learning rate" and drawn:
        axes.set_ylim(bottom=min(0.0, axes.get_ylim()[0]))  # a constant rate is no wave of rounding
    axes.set_title(panel.title)
    return [one for one in drawn if one.text]


def _look(name: str, number: int) -> Look:
    """How a curve looks: by what it was measured on, a plugin's own by its place in the panel."""
    split = name.partition("_")[0]
    if split == "train" and name != "train_loss":
        split = "after"  # with the weights at the end of the epoch
    return _LOOKS.get(split, Look(COLOURS[-1 - number % 3], PATTERNS[number % len(PATTERNS)]))


def _series(run: PastRun, name: str, axis: Axis) -> Series:
    try:
        return series_of(run, name, axis)
    except ConfigError:  # logged by steps alone, and this picture is over epochs
        return Series([], [])


def _tested(axes: Axes, panel: _Panel, run: PastRun, axis: Axis) -> list[EndLabel]:
    """The values of the test split where it was read once, at the end: a point at the epoch that was kept."""
    points = []
    for row in run.rows["test"]:
        for name, value in row.items():
            family = name.removeprefix("test_")
            fits = family == panel.title and name.startswith("test_")
            if fits and name not in panel.names and isinstance(value, int | float) and axis != "seconds":
                look: dict[str, Any] = {"linestyle": "none", "marker": "D", "markersize": 4.5, "zorder": 5}
                (point,) = axes.plot([row[axis]], [value], color=_LOOKS["test"].colour, **look)
                points.append(EndLabel(point, f"{name} {value:.4g}", None))
    return points


def _mark_best(axes: Sequence[Axes], run: PastRun, axis: Axis) -> None:
    """A line at the epoch whose weights were kept."""
    rows = [row for row in run.rows["epoch"] if row["epoch"] == run.best_epoch]
    if not rows or axis == "seconds":
        return
    for panel in axes:
        panel.axvline(rows[0][axis], color="#8C8C8C", linewidth=0.8, linestyle=(0, (2, 2)), zorder=1)
    axes[0].set_title(f"kept: epoch {run.best_epoch}", loc="right", fontsize=8, color=GREY)


def _heading(run: PastRun) -> str:
    """What was run, and how it ended."""
    labels = run.labels
    parts = [labels[field] for field in ("data", "model", "loss", "optimizer", "scheduler") if field in labels]
    ended = run.status if run.status in ("finished", "running") else f"{run.status} after {run.epochs_done} epochs"
    return f"{', '.join(parts)}; {ended}"
