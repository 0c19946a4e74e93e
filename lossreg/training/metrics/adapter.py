"""Between model and metric: what a metric declares decides how output and target reach it."""

from __future__ import annotations

import functools
from typing import TYPE_CHECKING

import attrs
from torch import Tensor
from torch.nn import functional

from lossreg.data import has_indices
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
        threshold: Of what output on a sample has a class, where it may have any number of them: 0, or 1/2 where the
            model gives probabilities; None where a sample has one class.
    """

    def __init__(self, output: Tensor, targets: Tensor, threshold: float | None = None) -> None:
        self.output = output
        self.targets = targets
        self._threshold = threshold

    @functools.cached_property
    def labels(self) -> Tensor:
        """The index of the greatest output of each position; or a 0 or 1 for each class."""
        return self.output.argmax(dim=1) if self._threshold is None else (self.output > self._threshold).long()

    @functools.cached_property
    def probabilities(self) -> Tensor:
        """The softmax of the output; or the sigmoid, unless the model gives probabilities itself."""
        if self._threshold is None:
            return self.output.softmax(dim=1)
        return self.output if self._threshold else self.output.sigmoid()

    @functools.cached_property
    def log_probabilities(self) -> Tensor:
        """Their logarithms."""
        if self._threshold is None:
            return self.output.log_softmax(dim=1)
        return self.output.log() if self._threshold else functional.logsigmoid(self.output)

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
        whole: Whether targets that are 0 or 1 become whole numbers.
        leaves_out: Whether it leaves out itself what the loss ignores, or takes the targets as they are.
        of_labels: Whether a sample has any number of classes.
    """

    input: str = "any"
    one_hot: bool = False
    whole: bool = False
    leaves_out: bool = True
    of_labels: bool = False

    def __call__(self, batch: Batch) -> Pair:
        """What `update` is given."""
        taken: Tensor = batch.output if self.input in ("any", "logits") else getattr(batch, self.input)
        if self.one_hot:
            return taken, one_hot_like(batch.targets, batch.output)
        return taken, batch.targets.long() if self.whole else batch.targets


def adapt(component: Metric | None, task: Task) -> MetricAdapter:
    """Decides from a metric's contract how output and targets reach it.

    Args:
        component: What it declares; None, for a Python object that declares nothing, leaves both as they are.
        task: The task of the data set.
    """
    if component is None:
        return MetricAdapter()
    indices = has_indices(task)
    knows = "ignore_index" in component.runtime_args.values()
    return MetricAdapter(
        component.input,
        one_hot=indices and component.target == "dense",
        whole=component.target == "multilabel",
        leaves_out=knows or not indices or component.target == "any",
        of_labels=task == "multilabel",
    )


_TAKES = {"index": "class indices", "multilabel": "a 0 or 1 for each class", "dense": "numbers to predict"}


def why_not(component: Metric | None, task: Task) -> str | None:
    """Why a metric is not one for a task, or None.

    Example:
        >>> from lossreg import Metric
        >>> why_not(Metric("f1", "my:F1", better="higher", target="index"), "regression")
        'the metric takes class indices, but the targets are numbers to predict'
    """
    if component is None or component.target == "any":
        return _without_classes(component, task)
    of_classes = component.target == "dense" and component.input in OF_CLASSES[:3]
    is_numbers = component.target == "dense" and not of_classes
    targets = "class indices" if has_indices(task) else _TAKES["multilabel" if task == "multilabel" else "dense"]
    fits = {
        "regression": component.target == "dense",
        "multilabel": component.target == "multilabel" or (component.target == "dense" and not is_numbers),
    }.get(task, component.target == "index" or of_classes)
    if not fits:
        return f"the metric takes {_TAKES[component.target]}, but the targets are {targets}"
    return _without_classes(component, task)


def _without_classes(component: Metric | None, task: Task) -> str | None:
    if component is not None and task == "regression" and component.input in OF_CLASSES:
        return f"the metric takes {component.input}, which a regression does not have"
    return None
