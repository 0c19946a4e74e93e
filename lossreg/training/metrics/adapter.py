"""Between model and metric: what a metric declares decides how output and target reach it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
from torch import Tensor

from lossreg.training.loss.adapter import one_hot_like

if TYPE_CHECKING:
    from lossreg.components import Metric
    from lossreg.data import Task

Pair = tuple[Tensor, Tensor]

#: What a metric may take of an output that only classes have.
OF_CLASSES = ("logits", "log_probabilities", "probabilities", "labels")


class Batch:
    """Output and targets of a batch, in the forms that metrics take; each is made once, however many take it.

    Args:
        output: `(N, C, *)`, or for a regression of the shape of the targets.
        targets: As the data set has them.
    """

    def __init__(self, output: Tensor, targets: Tensor) -> None:
        self.output = output
        self.targets = targets

    @functools.cached_property
    def labels(self) -> Tensor:
        """The index of the greatest output of each position."""
        return self.output.argmax(dim=1)

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """The softmax of the output."""
        return self.output.softmax(dim=1)

    @functools.cached_property
    def log_probabilities(self) -> Tensor:
        """The logarithm of the softmax of the output."""
        return self.output.log_softmax(dim=1)

    def without(self, ignored: int) -> Batch:
        """The positions whose target counts, as one batch: output `(M, C)`, targets `(M,)`."""
        counted = self.targets != ignored
        return Batch(self.output.movedim(1, -1)[counted], self.targets[counted])


@attrs.frozen
class MetricAdapter:
    """What is done to output and targets before they reach a metric.

    Attributes:
        input: What the metric takes of the output, as it declares.
        one_hot: Whether class indices become one-hot.
        leaves_out: Whether it leaves out itself what the loss ignores, or takes the targets as they are.
    """

    input: str = "any"
    one_hot: bool = False
    leaves_out: bool = True

    def __call__(self, batch: Batch) -> Pair:
        """What `update` is given; each time tensors that the metric may keep."""
        taken: Tensor = batch.output if self.input in ("any", "logits") else getattr(batch, self.input)
        return taken, one_hot_like(batch.targets, batch.output) if self.one_hot else batch.targets


def adapt(component: Metric | None, task: Task) -> MetricAdapter:
    """Decides from a metric's contract how output and targets reach it.

    Args:
        component: What it declares; None, for a Python object that declares nothing, leaves both as they are.
        task: The task of the data set.
    """
    if component is None:
        return MetricAdapter()
    has_classes = task != "regression"
    knows = "ignore_index" in component.runtime_args.values()
    return MetricAdapter(
        component.input,
        one_hot=has_classes and component.target == "dense",
        leaves_out=knows or not has_classes or component.target == "any",
    )


def why_not(component: Metric | None, task: Task) -> str | None:
    """Why a metric is not one for a task, or None."""
    if component is None:
        return None
    if task == "regression":
        if component.target == "index":
            return "the metric takes class indices, but the targets are numbers to predict"
        if component.input in OF_CLASSES:
            return f"the metric takes {component.input}, which a regression does not have"
        return None
    if component.target == "dense" and component.input in ("any", "labels"):
        return "the metric takes numbers to predict, but the targets are class indices"
    return None
