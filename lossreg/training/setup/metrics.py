"""The metrics of a run: their names in rows, and building them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from lossreg.data import Data
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.training.choice import Choice
from lossreg.training.choosing import Measure
from lossreg.training.evaluate import metric_names, quality_name
from lossreg.training.hardware.distributed import Processes
from lossreg.training.loss.contract import ProbeResult
from lossreg.training.loss.objective import Objective
from lossreg.training.metrics.named import BuiltMetric, NamedMetric, build_metrics, metric_runtime, name_metrics
from lossreg.training.parts import Samples
from lossreg.training.setup.samples import Runtime


def row_metrics(spec: RunSpec, samples: Samples, measures: Mapping[str, Measure]) -> list[str]:
    """The metrics of an epoch's row."""
    evaluated = "validation" if "validation" in samples.splits else "test"
    return metric_names(samples.data.task, eval_train=spec.eval_train, evaluated=evaluated, named=[*measures])


def named_metrics(
    measuring: Sequence[Choice], chosen: Mapping[str, Choice], data: Data, registries: Registries
) -> list[NamedMetric]:
    """The metrics that the run names, each under the name that it has in rows."""
    labels = {field: chosen[field].label for field in ("model", "loss", "data")}
    return name_metrics(measuring, data.task, quality_name(data.task), labels, registries.metrics)


def supplied_to_metrics(
    runtime: Runtime, samples: Samples, objective: Objective, output_shape: tuple[int, ...]
) -> dict[str, Any]:
    """Runtime name -> what the factories of metrics get for it."""
    return metric_runtime(runtime, samples.data.task, output_shape, objective.adapter.ignore_index)


def built_metrics(
    named: Sequence[NamedMetric],
    samples: Samples,
    objective: Objective,
    probe: ProbeResult,
    runtime: Runtime,
    processes: Processes,
) -> tuple[BuiltMetric, ...]:
    """The metrics, built and tried on a first batch."""
    supplied = supplied_to_metrics(runtime, samples, objective, probe.output_shape)
    batch, shared = (probe.output, probe.targets), processes.world_size > 1
    return build_metrics(named, samples.data.task, supplied, batch, shared=shared)
