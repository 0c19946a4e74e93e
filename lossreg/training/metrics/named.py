"""The metrics that a run names: under which names their values are kept, whether they fit, and building them."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import torch

from lossreg.errors import ConfigError, ContractError, LossregError, describe_error
from lossreg.names import snake_case
from lossreg.plugins.isolation import is_from_outside
from lossreg.plugins.provenance import BUILTIN
from lossreg.run_spec import METRICS
from lossreg.training.choice import Choice
from lossreg.training.choosing import Measure
from lossreg.training.metrics.adapter import Batch, MetricAdapter, adapt, why_not
from lossreg.training.metrics.number import number_of
from lossreg.training.selection import check_metric

if TYPE_CHECKING:
    from lossreg.components import Metric
    from lossreg.data import Task
    from lossreg.registry.registry import Registry

TAKEN = ("loss", "loss_after")  # what every row has, behind the name of a split


@attrs.frozen(eq=False)
class NamedMetric:
    """A metric with the name under which its values are kept.

    Attributes:
        name: Without the split: `f1`, for `test_f1` in a row.
        choice: The component, or the object.
        measure: Which values are better, and which it can have.
    """

    name: str
    choice: Choice
    measure: Measure


@attrs.frozen(eq=False)
class BuiltMetric:
    """A metric that is ready for a split.

    Attributes:
        name: As in `NamedMetric`.
        label: How a person would write it.
        metric: Has `update`, `compute` and `reset`.
        adapter: What is done before it.
        told: Splits on which its value was not finite, which was told.
    """

    name: str
    label: str
    metric: Any
    adapter: MetricAdapter
    told: set[str] = attrs.field(factory=set)

    @property
    def sums(self) -> Mapping[str, torch.Tensor] | None:
        """Its state, if that adds up over parts of a split; else None."""
        sums = getattr(self.metric, "sums", None)
        is_state = isinstance(sums, Mapping) and all(isinstance(one, torch.Tensor) for one in sums.values())
        return sums if is_state else None


def name_metrics(
    choices: Sequence[Choice], task: Task, quality: str, labels: Mapping[str, str], registry: Registry[Metric, Any]
) -> list[NamedMetric]:
    """Names the metrics: each by its own name, with a number behind it where that is taken.

    The metric that every run of the task measures is left out, unless it has parameters of its own.

    Args:
        choices: In the order in which they were given.
        task: The task of the data set.
        quality: The metric that every run of the task measures.
        labels: Field -> what fills it, for messages.
        registry: Where metrics that fit are looked for.

    Raises:
        ContractError: If one is not for the task.
    """
    taken = {*TAKEN, quality}
    named = []
    for choice in choices:
        why = why_not(choice.component, task)
        if why is not None:
            fitting = ", ".join(_fitting(registry, task)) or "none"
            raise ContractError(
                f"metric {choice.label} and data set {labels['data']} do not fit: {why}. Metrics that fit: {fitting}",
                setting=METRICS,
                **labels,
            )
        if _is_measured(choice, quality):
            continue
        name = _own_name(choice)
        number = 2
        while (numbered := name if name not in taken else f"{name}_{number}") in taken:
            number += 1
        taken.add(numbered)
        named.append(NamedMetric(numbered, choice, _measure(choice)))
    return named


def _fitting(registry: Registry[Metric, Any], task: Task) -> Iterable[str]:
    usable = [entry for entry in registry.entries if entry.component.deprecated is None]
    return sorted(registry.short_name(entry) for entry in usable if why_not(entry.component, task) is None)


def _is_measured(choice: Choice, quality: str) -> bool:
    spec = choice.spec
    return spec is not None and spec.name == f"{BUILTIN}.{quality}" and not spec.params


def _own_name(choice: Choice) -> str:
    if choice.component is not None:
        return str(choice.component.name)
    return snake_case(type(choice.given).__name__, "metric")


def _measure(choice: Choice) -> Measure:
    """What is declared; of an object that declares nothing, what torchmetrics' have as an attribute."""
    if choice.component is not None:
        return Measure(choice.component.better, choice.component.bounds)
    higher = getattr(choice.given, "higher_is_better", None)
    return Measure({True: "higher", False: "lower"}.get(higher) if isinstance(higher, bool) else None)


def metric_runtime(
    runtime: Mapping[str, Any], task: Task, output: Sequence[int], ignored: int | None
) -> dict[str, Any]:
    """What metrics are supplied with.

    Args:
        runtime: Runtime name -> value, as for a loss.
        task: The task of the data set.
        output: The shape of the model's output, which may have more classes than the data set.
        ignored: The target that the loss leaves out, or None.
    """
    classes = {} if task == "regression" else dict.fromkeys(("num_classes", "out_features"), output[1])
    return {**runtime, **classes, "ignore_index": ignored}


def metric_facts(choices: Sequence[Choice], runtime: Mapping[str, Any]) -> dict[str, Any]:
    """What the run record says of the metrics that are named: all parameters and provenance."""
    return {f"metric.{number}": one.facts(runtime) for number, one in enumerate(choices, start=1)}


def describe_measures(named: Sequence[NamedMetric]) -> dict[str, dict[str, Any]]:
    """Name of a metric in rows -> which metric it is, and which of its values are better."""
    return {
        one.name: {
            "metric": one.choice.label if one.choice.spec is None else one.choice.spec.text,
            "better": one.measure.better,
        }
        for one in named
    }


def build_metrics(
    named: Sequence[NamedMetric],
    task: Task,
    runtime: Mapping[str, Any],
    probe: tuple[torch.Tensor, torch.Tensor],
    *,
    shared: bool,
) -> tuple[BuiltMetric, ...]:
    """Builds the metrics, and tries each on a first batch, so that what cannot work is an error before the run.

    Args:
        named: What is built.
        task: The task of the data set.
        runtime: Runtime name -> value, as `metric_runtime` gives it.
        probe: Output and targets of a first batch, where metrics shall compute.
        shared: Whether several processes evaluate together.

    Raises:
        LossregError: If one cannot be built, is not a metric, or fails.
    """
    built = []
    with torch.random.fork_rng([]):  # what is drawn here is not taken from what else the seed decides
        for one in named:
            try:
                built.append(_built(one, task, runtime, probe, shared=shared))
            except LossregError as error:
                error.setting = METRICS
                raise
    return tuple(built)


def _built(
    named: NamedMetric,
    task: Task,
    runtime: Mapping[str, Any],
    probe: tuple[torch.Tensor, torch.Tensor],
    *,
    shared: bool,
) -> BuiltMetric:
    label = named.choice.label
    metric = named.choice.build(runtime=runtime)
    check_metric(metric, label)
    if callable(getattr(metric, "to", None)):
        metric.to(probe[0].device)
    if shared:
        leave_together(metric)
    built = BuiltMetric(named.name, label, metric, adapt(named.choice.component, task))
    _try(built, Batch(*probe, 0.0 if task == "multilabel" else None), runtime["ignore_index"])
    return built


def leave_together(metric: object) -> None:
    """Keeps metrics of torchmetrics from exchanging what they hold: each process is given all batches."""
    modules = metric.modules() if isinstance(metric, torch.nn.Module) else (metric,)
    for module in modules:
        if getattr(module, "sync_on_compute", False) is True:
            module.sync_on_compute = False  # type: ignore[attr-defined]  # it has the attribute, as was seen


@torch.inference_mode()
def _try(built: BuiltMetric, batch: Batch, ignored: int | None) -> None:
    """Measures a first batch with a copy."""
    if ignored is not None and not built.adapter.leaves_out:
        batch = batch.without(ignored)
    given, target = built.adapter(batch)
    shapes = f"input {tuple(given.shape)}, {given.dtype}, and target {tuple(target.shape)}, {target.dtype}"
    try:
        metric = copy.deepcopy(built.metric)
    except Exception:  # some objects hold what cannot be copied; what is tried is taken back by reset()
        metric = built.metric
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a first batch may lack a class that the split has
            metric.reset()
            metric.update(given, target)
            value = metric.compute()
        metric.reset()
    except BaseException as error:
        if is_from_outside(error):
            raise
        raise ConfigError(f"the metric {built.label} failed on {shapes}: {describe_error(error)}") from error
    number_of(value, built.label)
