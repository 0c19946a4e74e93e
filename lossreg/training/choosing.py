"""What a run chooses by a metric: which split it looks at, what is better, the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.run_spec import KEEP, RunSpec
from lossreg.suggestions import did_you_mean
from lossreg.validation import Target
from lossreg.values import shown

VALIDATION, TEST = "validation", "test"  # the splits that a choice may look at, besides `train`


#: Measure (a metric's name without the split) -> `higher` or `lower`, whichever is better; None if neither is. Only
#: those that a run names; the others are known by their names.
Directions = Mapping[str, str | None]
BY_NAME: Directions = MappingProxyType({})


@attrs.frozen
class Measure:
    """What is known of a metric that a run names.

    Attributes:
        better: `higher` or `lower`; None if neither is better.
        bounds: The least and the greatest value that it can have; None is no bound.
    """

    better: str | None
    bounds: tuple[float | None, float | None] = (None, None)


NOTHING_NAMED: Mapping[str, Measure] = MappingProxyType({})


@attrs.frozen
class Best:
    """The best epoch so far, with its weights.

    Attributes:
        epoch: From 0.
        value: Of the metric that is watched.
        row: Its metrics.
        model: The model's `state_dict()`, copied to the CPU.
        loss: The loss's own `state_dict()`, without what it shares with the model; copied to the CPU.
    """

    epoch: int
    value: float
    row: Mapping[str, Any] = attrs.field(repr=False)
    model: Mapping[str, Any] = attrs.field(repr=False)
    loss: Mapping[str, Any] = attrs.field(repr=False)


@attrs.frozen
class Choices:
    """What is chosen by metrics.

    Attributes:
        monitor: The metric that decides which epoch is the best; None where nothing does.
        target: What ends the run when it is reached, or None.
        deciders: What decides -> the metric that it follows.
        directions: Which values of the metrics are better that the run names.
    """

    monitor: str | None = None
    target: Target | None = None
    deciders: Mapping[str, str] = attrs.field(factory=dict)
    directions: Directions = BY_NAME

    @property
    def chosen_on(self) -> str | None:
        """`test` if anything is chosen on it, else `validation`, else `train`; None if nothing is chosen."""
        splits = {metric.partition("_")[0] for metric in self.deciders.values()}
        return next((name for name in (TEST, VALIDATION, "train") if name in splits), None)

    @property
    def warning(self) -> str | None:
        """A sentence to show before the run, or None."""
        if self.chosen_on != TEST:
            return None
        on_test = [f"{who} by {metric}" for who, metric in self.deciders.items() if metric.startswith(TEST)]
        return (
            f"chosen on the test split: {', '.join(on_test)}; its metrics are no measure of new data then. "
            "validate=0.1 (--validate 0.1) holds out a part of the training split to choose by"
        )


def gets_greater(metric: str, directions: Directions = BY_NAME) -> bool:
    """Whether more of a metric is better: accuracies get greater, losses and errors smaller, others as they declare.

    Example:
        >>> gets_greater("test_accuracy"), gets_greater("test_f1"), gets_greater("test_f1", {"f1": "higher"})
        (True, False, True)
    """
    measure = metric.partition("_")[2]
    return directions[measure] == "higher" if measure in directions else metric.endswith("accuracy")


def is_better(metric: str, value: float | None, best: float, directions: Directions = BY_NAME) -> bool:
    """Whether a value is better than the best; one that is not finite (None) is not."""
    if value is None or not math.isfinite(value):
        return False
    return value > best if gets_greater(metric, directions) else value < best


def worst(metric: str, best: float | None, directions: Directions = BY_NAME) -> float:
    """The best value of a metric so far; before there is one, what every value is better than."""
    if best is not None:
        return best
    return -math.inf if gets_greater(metric, directions) else math.inf


def watched(metric: str, metrics: Sequence[str]) -> str:
    """The metric that a component follows, of the split that is for choosing.

    A component declares `test_loss`, or `validation_loss`, for runs of both kinds: it follows the validation split
    where there is one, and else the test split.

    Example:
        >>> watched("test_loss", ["train_loss", "validation_loss"])
        'validation_loss'
    """
    for one, other in ((TEST, VALIDATION), (VALIDATION, TEST)):
        if metric.startswith(f"{one}_") and metric not in metrics:
            replaced = f"{other}{metric.removeprefix(one)}"
            return replaced if replaced in metrics else metric
    return metric


def choose(
    spec: RunSpec, metrics: Sequence[str], followed: Mapping[str, str], measures: Mapping[str, Measure] = NOTHING_NAMED
) -> Choices:
    """Decides which metrics choose.

    Args:
        spec: The settings.
        metrics: The metrics of an epoch's row.
        followed: Each scheduler that follows a metric, as a message names it -> the metric.
        measures: Those that the run names.

    Raises:
        ConfigError: If a metric does not exist, or a target is on the wrong side or beyond what the metric can be.
    """
    directions = {name: measure.better for name, measure in measures.items()}
    deciders = dict(followed)
    monitor = None
    if spec.patience is not None:
        monitor = spec.monitor or watched("validation_loss", metrics)
        _check_metric("monitor", monitor, metrics)
        check_direction("monitor (--monitor)", monitor, directions, "monitor")
        deciders["patience"] = monitor
    target = None if spec.target is None else Target.of(spec.target)
    if target is not None:
        _check_metric("target", target.metric, metrics)
        check_direction("target (--target)", target.metric, directions, "target")
        if target.at_least != gets_greater(target.metric, directions):
            sign, goes = (">=", "greater") if gets_greater(target.metric, directions) else ("<=", "smaller")
            raise ConfigError(
                f"target (--target) is {spec.target}, but {target.metric} gets better as it gets {goes}: "
                f"write '{target.metric}{sign}{target.value:g}'",
                setting="target",
            )
        _check_reachable(target, measures.get(target.metric.partition("_")[2]))
        deciders["target"] = target.metric
    if spec.best is not None:
        if spec.checkpoint_every is None:
            raise ConfigError(
                "best (--best) has no effect: the run writes no checkpoints (--checkpoint-every none)", setting="best"
            )
        _check_metric("best", spec.best, metrics)
        check_direction("best (--best)", spec.best, directions, "best")
        deciders["best"] = spec.best
    if spec.checkpoint_every is None and spec.keep != KEEP:
        raise ConfigError(
            "keep (--keep) has no effect: the run writes no checkpoints (--checkpoint-every none)", setting="keep"
        )
    return Choices(monitor, target, deciders, directions)


def check_direction(who: str, metric: str, directions: Directions, setting: str | None = None) -> None:
    """Checks that it is known which values of a metric are better, where something goes by it.

    Raises:
        ConfigError: If it is not.
    """
    if directions.get(metric.partition("_")[2], "") is None:
        raise ConfigError(
            f"{who} goes by {metric}, of which neither higher nor lower values are said to be better (better=None)",
            setting=setting,
        )


def _check_metric(setting: str, metric: str, metrics: Sequence[str]) -> None:
    if metric in metrics:
        return
    raise ConfigError(
        f"{setting} (--{setting}) names the metric {shown(metric)}, which this run does not have: "
        f"{instead_of(metric, metrics)}",
        setting=setting,
    )


def instead_of(metric: str, metrics: Sequence[str]) -> str:
    """What to write in place of a metric that a run does not have, or what the run needs to have it.

    Example:
        >>> instead_of("train_accuracy", ["train_loss", "test_loss", "test_accuracy"])
        'eval_train=True (--eval-train) evaluates on the training split too'
    """
    of_split = next((one for split in (VALIDATION, TEST) if (one := f"{split}_{metric}") in metrics), None)
    if of_split is not None:
        return f"it is called {of_split} here"
    kind, _, rest = metric.partition("_")
    meant = f"{VALIDATION}_{rest}" if kind in ("val", "valid", "dev") else None
    if meant in metrics:
        return f"it is called {meant} here"
    if meant is not None and f"{TEST}_{rest}" in metrics:
        return f"it has no validation split, which validate=0.1 (--validate 0.1) cuts off; the metric is {meant} then"
    if kind == VALIDATION and f"{TEST}_{rest}" in metrics:
        return "it has no validation split, which validate=0.1 (--validate 0.1) cuts off"
    if kind == TEST and f"{VALIDATION}_{rest}" in metrics:
        return f"its test split is read once, at the end; {VALIDATION}_{rest} is what to choose by"
    trained = "train_loss_after", "train_accuracy", "train_label_accuracy", "train_mean_absolute_error"
    is_evaluated = kind == "train" and any(f"{split}_{rest}" in metrics for split in (TEST, VALIDATION))
    if (metric in trained or is_evaluated) and "train_loss_after" not in metrics:
        return "eval_train=True (--eval-train) evaluates on the training split too"
    named = " metrics=['NAME'] (--metric NAME) measures another one." if kind in (TEST, VALIDATION, "train") else ""
    return f"it has {', '.join(metrics)}.{did_you_mean(metric, metrics)}{named}"


def _check_reachable(target: Target, measure: Measure | None) -> None:
    """Checks that the value of a target is one that its metric can have; that of a loss is any number."""
    least, greatest = _bounds(target.metric) if measure is None else measure.bounds
    above, below = least is None or target.value >= least, greatest is None or target.value <= greatest
    if above and below:
        return
    is_share = (least, greatest) == (0, 1)
    values = "a share from 0 to 1" if is_share else _between(least, greatest)
    meant = attrs.evolve(target, value=target.value / 100) if is_share and 1 < target.value <= 100 else None
    raise ConfigError(
        f"target (--target) is {target.text}, but {target.metric} is {values}"
        f"{f': for {target.value:g}% write {meant.text!r}' if meant else ''}",
        setting="target",
    )


def _bounds(metric: str) -> tuple[float | None, float | None]:
    """The least and the greatest value of what every run measures."""
    if metric.endswith("accuracy"):
        return 0, 1
    return (0, None) if metric.endswith("mean_absolute_error") else (None, None)


def _between(least: float | None, greatest: float | None) -> str:
    if greatest is None:
        return f"{least:g} or more"
    return f"{greatest:g} or less" if least is None else f"from {least:g} to {greatest:g}"
