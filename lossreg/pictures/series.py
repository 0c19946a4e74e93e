"""Curves out of the rows of past runs: which metrics there are, and their values over epochs, steps or seconds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

import attrs

from lossreg.errors import ConfigError
from lossreg.past_runs.metrics import NOT_METRICS, judging_metric
from lossreg.pictures.style import numbers
from lossreg.suggestions import did_you_mean
from lossreg.training.record.reading import PastRun
from lossreg.values import one_line, shown

Axis = Literal["epoch", "step", "seconds"]
AXES: Mapping[Axis, str] = {"epoch": "epoch", "step": "step", "seconds": "seconds of training"}


@attrs.frozen
class Series:
    """A curve.

    Attributes:
        x: Where its points are.
        y: Their heights; NaN is a gap.
    """

    x: list[float]
    y: list[float]

    @property
    def has_points(self) -> bool:
        """Whether anything can be drawn of it."""
        return any(math.isfinite(x) and math.isfinite(y) for x, y in zip(self.x, self.y, strict=True))


def columns(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The columns of rows that hold numbers, in their order; what says where a row stands is none of them."""
    found = {
        name: None
        for row in rows
        for name, value in row.items()
        if name not in NOT_METRICS and isinstance(value, int | float)
    }
    return list(found)


def metrics_of(run: PastRun) -> list[str]:
    """What there is a curve of."""
    return list(dict.fromkeys([*columns(run.rows["epoch"]), *columns(run.rows["step"])]))


def series_of(run: PastRun, metric: str, axis: Axis) -> Series:
    """The curve of a metric: of its epochs, or of its logged steps where it has no others.

    Over steps, logged steps go before epochs: they are more.

    Raises:
        ConfigError: If the run does not have the metric over this axis.
    """
    epochs, steps = ([row for row in run.rows[kind] if metric in row] for kind in ("epoch", "step"))
    rows = steps if (axis == "step" and len(steps) > 1) or not epochs else epochs
    if rows and rows is steps and axis != "step":
        raise ConfigError(f"{metric} is logged by steps, not by epochs, in {_name(run)}: write --x step")
    return Series(_positions(rows, axis), numbers([row.get(metric) for row in rows]))


def _positions(rows: Sequence[Mapping[str, Any]], axis: Axis) -> list[float]:
    if axis == "seconds":
        return list(itertools.accumulate(numbers([row.get("seconds") for row in rows])))
    return numbers([row.get(axis) for row in rows])


def choose_metric(runs: Sequence[PastRun], wanted: str | None) -> str:
    """The metric that a picture of several runs shows.

    Args:
        runs: The runs; each has a metric.
        wanted: What was asked for; None is an accuracy or an error before a loss, and validation before test.

    Raises:
        ConfigError: If a run does not have it, or they are not measured by the same.
    """
    known = {run.directory: metrics_of(run) for run in runs}
    if wanted is not None:
        for run in runs:
            if wanted not in known[run.directory]:
                raise ConfigError(_why_no_metric(run, wanted, known[run.directory]))
        return wanted
    own = [judging_metric(known[run.directory], run.directions) for run in runs]
    if own[0] is not None and len(set(own)) == 1:
        return own[0]
    if len(set(own)) == 1:
        raise ConfigError(f"the runs have {', '.join(known[runs[0].directory])}: say which to draw, with --metric NAME")
    other = next(place for place, name in enumerate(own) if name != own[0])
    common = [name for name in known[runs[0].directory] if all(name in names for names in known.values())]
    instead = f"; all have {', '.join(common)}: choose one with --metric" if common else "; draw them separately"
    raise ConfigError(
        f"the runs have different metrics: {_name(runs[0])} has {own[0] or 'none'}, {_name(runs[other])} has "
        f"{own[other] or 'none'}{instead}"
    )


def _why_no_metric(run: PastRun, wanted: str, known: Sequence[str]) -> str:
    if any(wanted in row for row in run.rows["test"]):
        return (
            f"{_name(run)} measured {wanted} once, at its end, as a run with a validation split does: "
            f"there is no curve of it. Curves: {', '.join(known)}"
        )
    return f"{_name(run)} has no metric {shown(wanted)}.{did_you_mean(wanted, known)} It has {', '.join(known)}"


def _name(run: PastRun) -> str:
    return one_line(str(run.directory))
