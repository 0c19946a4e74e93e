"""Metrics by their names: of which split they are, what they measure, which runs are judged by. Needs no torch."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

from lossreg.errors import ConfigError
from lossreg.training.choosing import BY_NAME, Directions, gets_greater
from lossreg.training.record.reading import PastRun, RunSummary
from lossreg.values import one_line, shortened

SPLITS = ("validation", "test", "train")  # those to judge by come first
LOSS = "loss"
MOST = 40  # metrics of a run; a file changed by hand can have any number
LONGEST = 100  # characters of the name of one
#: What a row has beside its metrics.
NOT_METRICS = ("kind", "epoch", "step", "seconds", "weights")
_EVERYWHERE = ("accuracy", "label_accuracy", "mean_absolute_error")  # what every run of a task measures beside the loss
_RATES = ("lr", "samples_per_second", "gradient_norm")  # what tells how a run went, not how good it is


def measure_of(metric: str) -> str:
    """What a metric measures, on whichever split.

    Example:
        >>> measure_of("validation_accuracy"), measure_of("train_loss_after"), measure_of("lr")
        ('accuracy', 'loss', 'lr')
    """
    split, _, rest = metric.partition("_")
    return rest.removesuffix("_after") if split in SPLITS and rest else metric


def is_measure(metric: str) -> bool:
    """Whether a metric is of a split."""
    return measure_of(metric) != metric


def directions_of(runs: Iterable[RunSummary]) -> Directions:
    """Which values are better of the metrics that runs named."""
    return {name: better for run in runs for name, better in run.directions.items()}


def direction(metric: str, directions: Directions = BY_NAME) -> str | None:
    """`greater` or `smaller`, whichever is better; None where that is not known.

    Args:
        metric: The metric.
        directions: Of the metrics that runs named; others are known by their names.

    Example:
        >>> direction("test_accuracy"), direction("test_f1"), direction("test_f1", {"f1": "higher"})
        ('greater', None, 'greater')
    """
    measure = measure_of(metric)
    if measure in directions:
        return {"higher": "greater", "lower": "smaller"}.get(directions[measure] or "")
    if gets_greater(measure):
        return "greater"
    return "smaller" if measure == LOSS or measure.endswith(("_loss", "_error")) else None


def ranked(metrics: Collection[str]) -> list[str]:
    """Metrics in the order in which they are offered: those to judge by first.

    Example:
        >>> ranked(["lr", "train_loss", "test_loss", "test_accuracy"])
        ['test_accuracy', 'test_loss', 'train_loss', 'lr']
    """

    def rank(metric: str) -> tuple[int, bool, bool, bool, str]:
        split, measure = metric.partition("_")[0], measure_of(metric)
        place = SPLITS.index(split) if is_measure(metric) else len(SPLITS) + (metric in _RATES)
        return place, measure == LOSS, metric.endswith("_after"), measure not in _EVERYWHERE, metric

    return sorted((metric for metric in metrics if len(metric) <= LONGEST), key=rank)[:MOST]


def metrics_in(rows: Iterable[Mapping[str, Any]]) -> list[str]:
    """The metrics that have a number in any of some rows."""
    found = {name for row in rows for name, value in row.items() if type(value) in (int, float)}
    return ranked(found - {*NOT_METRICS})


def main_metric(available: Sequence[Collection[str]]) -> str | None:
    """The metric that a page begins with: one that most cells have, and of these one to judge by.

    Args:
        available: The metrics of each cell.
    """
    every = ranked({metric for metrics in available for metric in metrics})
    return max(every, key=lambda metric: sum(metric in metrics for metrics in available), default=None)


def judging_metric(available: Collection[str], directions: Directions = BY_NAME) -> str | None:
    """The metric that runs are judged by where none is named: of a split, and known to be better one way.

    Args:
        available: The metrics of a run.
        directions: Of those that it named.

    Example:
        >>> judging_metric(["lr", "train_loss", "test_loss", "test_accuracy"]), judging_metric(["train_speed"])
        ('test_accuracy', None)
    """
    return next((metric for metric in ranked(available) if is_measure(metric) and direction(metric, directions)), None)


def check_same_measures(runs: Sequence[PastRun]) -> None:
    """Checks that runs can be shown beside each other.

    Raises:
        ConfigError: If two of them have no measure in common but the loss, and both have others.
    """
    judged = [(run, {*map(measure_of, filter(is_measure, _metrics(run)))} - {LOSS}) for run in runs]
    judged = [(run, measures) for run, measures in judged if measures]
    for run, measures in judged[1:]:
        first, others = judged[0]
        if not measures & others:
            raise ConfigError(
                f"the runs have different metrics, so no page compares them: {one_line(str(first.directory))} has "
                f"{_listed(others)}, {one_line(str(run.directory))} has {_listed(measures)}; name them one at a time"
            )


def _metrics(run: PastRun) -> list[str]:
    return metrics_in([run.final, *run.rows["epoch"][-1:], *run.rows["test"]])


def _listed(measures: Collection[str]) -> str:
    return shortened(", ".join(sorted(measures)))
