"""A past run's model evaluated once more: on a split of its own data set, or of another one."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any, Literal

import attrs
import torch

from lossreg.data import Column, Data, Scaling, task_text
from lossreg.errors import ConfigError
from lossreg.past_runs.origins import check_origin
from lossreg.run_spec import METRICS
from lossreg.spec import ComponentSpec
from lossreg.trained.facts import DataFacts
from lossreg.trained.loading import LoadedRun
from lossreg.training.choice import Choice
from lossreg.training.evaluate import split_metrics
from lossreg.training.hardware.memory_format import Layout
from lossreg.training.selection import Request, select_field, select_metrics
from lossreg.training.setup.evaluation import set_up_evaluation
from lossreg.values import finite, one_line, shown

EvaluatedSplit = Literal["test", "validation", "train"]
SPLITS: tuple[EvaluatedSplit, ...] = ("test", "validation", "train")

_CHANNELS_LAST = Layout(torch.channels_last, "").name


@attrs.frozen
class EvaluatedRun:
    """How good a past run's model is on a split.

    Attributes:
        split: `test`, `validation` or `train`.
        data: The data set, as a person would name it.
        samples: How many there are.
        metrics: `test_loss`, `test_accuracy`, `test_label_accuracy` or `test_mean_absolute_error`, and those that the
            run names; of another split with its name. What is not finite is None.
        weights: Which weights were evaluated.
    """

    split: EvaluatedSplit
    data: str
    samples: int
    metrics: Mapping[str, float | None]
    weights: str | None

    def to_json(self) -> dict[str, Any]:
        """The values as JSON has them."""
        return {**attrs.asdict(self), "metrics": finite(self.metrics)}


def evaluate_run(
    run: LoadedRun,
    *,
    data: str | ComponentSpec | Data | None = None,
    split: EvaluatedSplit = "test",
    batch_size: int | None = None,
) -> EvaluatedRun:
    """Evaluates a run's model; for its own data set as the run did, so that the metrics are the run's own.

    Args:
        run: What `load_run` gave.
        data: Another data set of the same task, of which all samples are used; None is that of the run.
        split: Which split of it.
        batch_size: None is that of the run; a loss such as Dice depends on it.

    Raises:
        LossregError: If the data set cannot be loaded, or the model does not fit it.
    """
    if split not in SPLITS:
        raise ConfigError(f"split is one of {', '.join(SPLITS)}, not {shown(split)}")
    run.check_loss()
    if split == "validation" and (data is not None or run.spec.validate is None):
        owner = "another data set" if data is not None else one_line(str(run.directory))
        raise ConfigError(f"{owner} has no validation split; the splits are train and test")
    choice, measuring = _data(run, data), _metrics(run)
    spec = _spec(run, own=data is None)
    if batch_size is not None:
        spec = attrs.evolve(spec, batch_size=batch_size)
    chosen = {**run.chosen, "data": choice}
    adapted = functools.partial(as_trained, run, choice.label)
    evaluation = set_up_evaluation(run.objective, chosen, spec, run.device, run.registries, adapted, measuring)
    try:
        metrics = split_metrics(evaluation, split)
        samples = len(evaluation.samples.splits[split])
    finally:
        run.objective.eval()
        for one in evaluation.samples.splits.values():
            one.close()
    metrics = {name.removesuffix("_after"): value for name, value in metrics.items()}
    return EvaluatedRun(split, choice.label, samples, metrics, run.weights)


def _data(run: LoadedRun, data: str | ComponentSpec | Data | None) -> Choice:
    """The data set: the one that was given, or that of the run."""
    place = one_line(str(run.directory))
    objects: dict[str, Any] = {}
    spec = run.spec
    if isinstance(data, Data):
        objects = {"data": data}
    elif data is not None:
        spec = attrs.evolve(spec, data=data)
    elif "data" in run.objects:
        raise ConfigError(
            f"the data set of {place} was a Python object ({run.objects['data']}), which has no text; name one "
            "(--data, or data= from Python)"
        )
    elif (origin := run.summary.built.get("data")) is not None:
        check_origin("data", origin, place, run.registries)
    choice = select_field("data", Request(spec, objects, run.registries))
    assert choice is not None  # noqa: S101  # a spec has a data set
    return choice


def _metrics(run: LoadedRun) -> list[Choice]:
    """The metrics that the run names; what was a Python object is left out."""
    for name, origin in run.summary.built.items():
        if name.startswith("metric."):
            check_origin(METRICS, origin, one_line(str(run.directory)), run.registries)
    return select_metrics(Request(run.spec, {}, run.registries))


def _spec(run: LoadedRun, *, own: bool) -> Any:
    """How samples are loaded, cut and laid out: as in the run; of another data set all, without a cut."""
    recorded = run.facts.get("layout")
    layout = recorded.get("memory_format") if isinstance(recorded, Mapping) else None
    same_device = run.device.type == str(run.summary.device).partition(":")[0]
    is_last = layout == _CHANNELS_LAST and same_device
    spec = attrs.evolve(run.spec, layout="channels_last" if is_last else "contiguous")
    if own:
        return spec
    return attrs.evolve(spec, limit_train=None, limit_test=None, validate=None, loader="auto", workers=None)


def as_trained(run: LoadedRun, label: str, data: Data) -> Data:
    """A data set with its numbers scaled as those of the run were: one of other rows has other means.

    Args:
        run: What `load_run` gave.
        label: The data set, in a message.
        data: The data set.

    Raises:
        ConfigError: If it is for another task, or has other classes or columns.
    """
    place, facts = one_line(str(run.directory)), run.data
    if data.task != facts.task:
        raise ConfigError(
            f"data set {label} is for {task_text(data.task)}, and {place} was trained for {task_text(facts.task)}"
        )
    for what, here, there in (
        ("classes", data.class_names, facts.class_names),
        ("columns", _described(data.columns), _described(facts.columns)),
    ):
        if here is not None and there is not None and here != there:
            raise ConfigError(
                f"data set {label} has the {what} {shown(here)}, and {place} was trained on {shown(there)}"
            )
    return attrs.evolve(
        data,
        train=_rescaled(data.train, data, facts),
        test=_rescaled(data.test, data, facts),
        input_scaling=facts.input_scaling or data.input_scaling,
        target_scaling=facts.target_scaling or data.target_scaling,
    )


def _described(columns: tuple[Column, ...] | None) -> tuple[str, ...] | None:
    """Columns with their categories: whether a cell may be empty does not matter for cells that are read."""
    if columns is None:
        return None
    return tuple(f"{one.name} ({', '.join(one.categories)})" if one.categories else one.name for one in columns)


def _rescaled(split: Any, data: Data, facts: DataFacts) -> Any:
    """A pair of tensors in the scale of the run; samples that are read one by one stay as they are."""
    if not (isinstance(split, tuple) and all(isinstance(part, torch.Tensor) for part in split)):
        return split
    pairs = (data.input_scaling, facts.input_scaling), (data.target_scaling, facts.target_scaling)
    return tuple(_moved(part, *scalings) for part, scalings in zip(split, pairs, strict=True))


def _moved(values: torch.Tensor, own: Scaling | None, wanted: Scaling | None) -> torch.Tensor:
    if own is None or wanted is None or own == wanted:
        return values
    shape = (-1, *[1] * (values.ndim - 2)) if values.ndim > 1 else (-1,)
    parts = (own.mean, own.std, wanted.mean, wanted.std)
    mean, std, to_mean, to_std = (torch.tensor(part, dtype=torch.float64).reshape(shape) for part in parts)
    return ((values.double() * std + mean - to_mean) / to_std).to(values.dtype)
