"""The parts of a run together, and what the run record says of them."""

from __future__ import annotations

import platform
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch

import lossreg
from lossreg.data import Data
from lossreg.run_spec import METRICS, RunSpec
from lossreg.training.choosing import Choices
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.digest import digest_of
from lossreg.training.data.splits import ResidentSplit, StreamedSplit
from lossreg.training.hardware.device import describe_machine
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.memory_format import Layout
from lossreg.training.loss.objective import Objective
from lossreg.training.loss.reduction import Reduction
from lossreg.training.optim.freezing import Freezing
from lossreg.training.optim.needs import Needs
from lossreg.training.optim.rates import EpochRates
from lossreg.training.optim.scheduler import Schedule
from lossreg.training.optim.schedules import JointSchedule

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.metrics.named import BuiltMetric
    from lossreg.training.weights import Weights

Facts = Mapping[str, Any]  # field -> id, all parameters and provenance of what was built by name, for reading


@attrs.frozen(eq=False)
class Samples:
    """The data set of a run.

    Attributes:
        data: What it is.
        splits: `train` and `test`, and `validation` where there is one.
        plan: How an epoch is cut into steps, and what this process takes of them.
        facts: Of the data set.
        held_out: How the validation split was cut off, for the run record, or None.
        in_dtype: Of the inputs.
        evaluations: Split -> how often it was evaluated so far.
        origin: The place in the data set's training split of each sample that is trained on, where a validation split
            was cut off; else None.
    """

    data: Data
    splits: Mapping[str, ResidentSplit | StreamedSplit]
    plan: BatchPlan
    facts: Facts
    held_out: Mapping[str, Any] | None = None
    in_dtype: torch.dtype = torch.float32
    evaluations: Counter[str] = attrs.field(factory=Counter)
    origin: Sequence[int] | None = None
    _digests: dict[str, dict[str, str]] = attrs.field(factory=dict)

    def digests(self) -> dict[str, dict[str, str]]:
        """Split -> a hash of its samples; made once."""
        if not self._digests:
            self._digests.update((name, digest_of(split)) for name, split in self.splits.items())
        return dict(self._digests)

    def named(self, samples: Sequence[int]) -> list[int]:
        """Samples that are trained on, by their places in the data set's training split."""
        return list(samples) if self.origin is None else [self.origin[sample] for sample in samples]


@attrs.frozen(eq=False)
class Fit:
    """Model and loss, which were seen to fit each other and the data set.

    Attributes:
        objective: Both, with what is done before the loss, and the precision.
        layout: Of images and of convolutions' weights.
        reduction: What the loss divides by.
        output_shape: Of the model, for the first batch.
        unused: Whether the loss does not depend on some trainable parameter, which several processes must know.
        facts: Of model and loss.
        warnings: Sentences to show before the run.
        metrics: What is measured beside the loss, because the run names it.
    """

    objective: Objective
    layout: Layout
    reduction: Reduction
    output_shape: tuple[int, ...]
    unused: bool
    facts: Facts
    warnings: tuple[str, ...] = ()
    metrics: tuple[BuiltMetric, ...] = ()


@attrs.frozen(eq=False)
class Evaluation:
    """All that an evaluation needs: the parts of a run without what trains.

    Attributes:
        spec: Batch size and seed are those of the evaluation.
        device: Where it all is.
        processes: Those that evaluate together.
        samples: The data set.
        fit: Model and loss.
    """

    spec: RunSpec
    device: torch.device
    processes: Processes
    samples: Samples
    fit: Fit

    @property
    def objective(self) -> Objective:
        """Model and loss as one module."""
        return self.fit.objective


@attrs.frozen(eq=False)
class Optimization:
    """How the weights move.

    Attributes:
        optimizer: The optimizer.
        needs: What it needs of the loop.
        scaler: Scales float16 gradients, or None.
        schedule: The scheduler, and when it steps; or several as one.
        rates: The learning rates to come, or None if they are not known.
        planned: The optimizers of each schedule, for a person, and their rates to come.
        facts: Of optimizer and scheduler.
        groups: What each group of parameters is trained with.
        schedules: Which scheduler moves which groups; nothing where one moves all.
        warnings: Sentences to show before the run.
    """

    optimizer: Optimizer
    needs: Needs
    scaler: torch.amp.GradScaler | None
    schedule: Schedule | JointSchedule
    rates: list[EpochRates] | None
    planned: list[tuple[str, list[EpochRates] | None]]
    facts: Facts
    groups: list[dict[str, Any]]
    schedules: list[dict[str, Any]]
    warnings: list[str]


@attrs.frozen(eq=False)
class Parts:
    """All that a loop needs.

    Attributes:
        spec: What decides the run, with full ids and with nothing left to default.
        labels: Field -> the component as a person would name it.
        objects: Field -> the class of what was given as a Python object.
        device: Where it all is.
        processes: Those that train together.
        samples: The data set.
        fit: Model and loss.
        optimization: Optimizer and scheduler.
        weights: Which weights are evaluated, kept and saved.
        choices: What is chosen by metrics.
        freezing: Which parameters are frozen, and until when.
        observers: Facts of the metrics and observers that are named.
        measures: Measure -> the metric that it is, and which of its values are better: for those who read the record.
        initial: Where the weights come from that the run starts from; None where they are new.
        from_data: Field -> the spec with the words for which numbers were computed from the training split.
        warnings: Sentences to show before the run starts.
    """

    spec: RunSpec
    labels: Mapping[str, str]
    objects: Mapping[str, str]
    device: torch.device
    processes: Processes
    samples: Samples
    fit: Fit
    optimization: Optimization
    weights: Weights
    choices: Choices
    freezing: Freezing
    observers: Facts
    measures: Mapping[str, Mapping[str, Any]]
    initial: dict[str, Any] | None
    from_data: Mapping[str, str]
    warnings: list[str]

    @property
    def objective(self) -> Objective:
        """Model and loss as one module."""
        return self.fit.objective

    @property
    def components(self) -> dict[str, Any]:
        """Field -> all parameters and provenance of what was built by name."""
        facts = {**self.samples.facts, **self.fit.facts, **self.optimization.facts, **self.observers}
        return {field: of_field for field, of_field in facts.items() if of_field is not None}

    @property
    def repeatable(self) -> bool:
        """Whether the spec says all: nothing was an object, or registered by something that leaves no file."""
        return not self.objects and all(part["distribution"] or part.get("file") for part in self.components.values())

    def close(self) -> None:
        """Ends what works in the background, and what is frozen for the run."""
        self.freezing.end(self.objective)
        for split in self.samples.splits.values():
            split.close()

    def describe(self) -> dict[str, Any]:
        """What the run record says of the parts; `plan` shows the same."""
        precision = self.objective.precision
        return {
            "repeatable": self.repeatable,
            "objects": dict(self.objects),
            # An object has no text; of metrics, others have one.
            "spec": {**dict(self.spec.items()), **dict.fromkeys(field for field in self.objects if field != METRICS)},
            "from_data": dict(self.from_data),
            "components": self.components,
            "contract": self._describe_contract(),
            "device": str(self.device),
            "deterministic": torch.are_deterministic_algorithms_enabled(),
            "processes": self.processes.world_size,
            "precision": {"used": precision.name, "reason": precision.reason},
            "loaders": {name: _loader(split) for name, split in self.samples.splits.items()},
            "layout": {"memory_format": self.fit.layout.name, "reason": self.fit.layout.reason},
            "reduction": self.fit.reduction.rule,
            "optimizer_needs": self.optimization.needs.to_json(),
            "weights": self.weights.describe(),
            "data": self._describe_data(),
            "source": dict(self.samples.data.source),
            "validation": None if self.samples.held_out is None else dict(self.samples.held_out),
            "chosen_on": self.choices.chosen_on,
            "choosing": dict(self.choices.deciders),
            "measures": {name: dict(measure) for name, measure in self.measures.items()},
            "steps_per_epoch": self.samples.plan.steps,
            "groups": self.optimization.groups,
            "schedules": self.optimization.schedules,
            "init": self.initial,
            "frozen": self.freezing.describe(self.objective),
            "parameters": sum(parameter.numel() for parameter in self.objective.model.parameters()),
            "versions": {
                "lossreg": lossreg.__version__,
                "torch": torch.__version__,
                "numpy": np.__version__,
                "python": platform.python_version(),
            },
            "threads": torch.get_num_threads(),
            "machine": describe_machine(self.device),
            "digests": self.samples.digests(),
        }

    def _describe_contract(self) -> dict[str, Any]:
        """What is done to output and target, and when the schedule steps."""
        adapter, stepping = self.objective.adapter, self.optimization.schedule.stepping
        return {
            "input": adapter.input,
            "target": adapter.target,
            "output_shape": list(self.fit.output_shape),
            "interval": stepping.interval,
            "monitor": stepping.monitor,
            **({"threshold": adapter.threshold} if self.samples.data.task == "multilabel" else {}),
        }

    def _describe_data(self) -> dict[str, Any]:
        """What the samples are, and how many each split has."""
        data = self.samples.data
        return {
            "task": data.task,
            "in_shape": list(data.in_shape),
            "in_dtype": str(self.samples.in_dtype).removeprefix("torch."),
            "outputs": data.outputs,
            "input_scaling": data.input_scaling and data.input_scaling.to_json(),
            "target_scaling": data.target_scaling and data.target_scaling.to_json(),
            "class_names": data.class_names and list(data.class_names),
            "columns": data.columns and [column.to_json() for column in data.columns],
            "resized": data.resized,
            **{name: len(split) for name, split in self.samples.splits.items()},
        }


def _loader(split: ResidentSplit | StreamedSplit) -> dict[str, Any]:
    workers = {"workers": split.workers} if isinstance(split, StreamedSplit) else {}
    return {"used": split.loader, "reason": split.reason, **workers}
