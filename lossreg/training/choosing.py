"""What a run chooses by a metric: which split it looks at, what is better, the best so far."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.run_spec import KEEP, RunSpec
from lossreg.suggestions import did_you_mean
from lossreg.validation import Target
from lossreg.values import shown

VALIDATION, TEST = "validation", "test"  # the splits that a choice may look at, besides `train`


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
    """

    monitor: str | None = None
    target: Target | None = None
    deciders: Mapping[str, str] = attrs.field(factory=dict)

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
            "--validate 0.1 holds out a part of the training split to choose by"
        )


def gets_greater(metric: str) -> bool:
    """Whether more of a metric is better: accuracies get greater, losses and errors smaller."""
    return metric.endswith("accuracy")


def is_better(metric: str, value: float | None, best: float) -> bool:
    """Whether a value is better than the best; one that is not finite (None) is not."""
    if value is None or not math.isfinite(value):
        return False
    return value > best if gets_greater(metric) else value < best


def worst(metric: str, best: float | None) -> float:
    """The best value of a metric so far; before there is one, what every value is better than."""
    if best is not None:
        return best
    return -math.inf if gets_greater(metric) else math.inf


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


def choose(spec: RunSpec, metrics: Sequence[str], followed: Mapping[str, str]) -> Choices:
    """Decides which metrics choose.

    Args:
        spec: The settings.
        metrics: The metrics of an epoch's row.
        followed: Each scheduler that follows a metric, as a message names it -> the metric.

    Raises:
        ConfigError: If a metric does not exist, or a target is on the wrong side or beyond what the metric can be.
    """
    deciders = dict(followed)
    monitor = None
    if spec.patience is not None:
        monitor = spec.monitor or watched("validation_loss", metrics)
        _check_metric("monitor", monitor, metrics)
        deciders["patience"] = monitor
    target = None if spec.target is None else Target.of(spec.target)
    if target is not None:
        _check_metric("target", target.metric, metrics)
        if target.at_least != gets_greater(target.metric):
            sign, goes = (">=", "greater") if gets_greater(target.metric) else ("<=", "smaller")
            raise ConfigError(
                f"target (--target) is {spec.target}, but {target.metric} gets better as it gets {goes}: "
                f"write '{target.metric}{sign}{target.value:g}'",
                setting="target",
            )
        _check_reachable(target)
        deciders["target"] = target.metric
    if spec.best is not None:
        if spec.checkpoint_every is None:
            raise ConfigError(
                "best (--best) has no effect: the run writes no checkpoints (--checkpoint-every none)", setting="best"
            )
        _check_metric("best", spec.best, metrics)
        deciders["best"] = spec.best
    if spec.checkpoint_every is None and spec.keep != KEEP:
        raise ConfigError(
            "keep (--keep) has no effect: the run writes no checkpoints (--checkpoint-every none)", setting="keep"
        )
    return Choices(monitor, target, deciders)


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
        '--eval-train evaluates on the training split too'
    """
    kind, _, rest = metric.partition("_")
    meant = f"{VALIDATION}_{rest}" if kind in ("val", "valid", "dev") else None
    if meant in metrics:
        return f"it is called {meant} here"
    if meant is not None and f"{TEST}_{rest}" in metrics:
        return f"it has no validation split, which --validate 0.1 cuts off; the metric is {meant} then"
    if kind == VALIDATION and f"{TEST}_{rest}" in metrics:
        return "it has no validation split, which --validate 0.1 cuts off"
    if kind == TEST and f"{VALIDATION}_{rest}" in metrics:
        return f"its test split is read once, at the end; {VALIDATION}_{rest} is what to choose by"
    trained = "train_loss_after", "train_accuracy", "train_mean_absolute_error"
    if metric in trained and not any(one in metrics for one in trained):
        return "--eval-train evaluates on the training split too"
    return f"it has {', '.join(metrics)}.{did_you_mean(metric, metrics)}"


def _check_reachable(target: Target) -> None:
    """Checks that the value of a target is one that its metric can have; that of a loss is any number."""
    is_share = target.metric.endswith("accuracy")
    if not is_share and not target.metric.endswith("mean_absolute_error"):
        return
    if target.value >= 0 and (target.value <= 1 or not is_share):
        return
    values = "a share from 0 to 1" if is_share else "0 or more"
    meant = attrs.evolve(target, value=target.value / 100) if is_share and 1 < target.value <= 100 else None
    raise ConfigError(
        f"target (--target) is {target.text}, but {target.metric} is {values}"
        f"{f': for {target.value:g}% write {meant.text!r}' if meant else ''}",
        setting="target",
    )
