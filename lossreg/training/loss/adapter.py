"""Between model and loss: what a loss declares decides how output and target reach it."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import attrs
import torch
from torch import Tensor
from torch.nn import functional

from lossreg.data import has_indices

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Task

Criterion = Callable[[Tensor, Tensor], Tensor]  # the loss itself: a module or a function of output and target

InputChange = Literal["unchanged", "softmax", "log_softmax", "sigmoid", "log_sigmoid"]
TargetChange = Literal["unchanged", "one_hot", "signs", "label_lists"]

_INPUT_CHANGES: dict[str, InputChange] = {
    "probabilities": "softmax",
    "log_probabilities": "log_softmax",
    "label_probabilities": "sigmoid",
}
#: The same where a sample has any number of classes, so that each has a probability of its own.
_OF_LABELS: dict[str, InputChange] = {**_INPUT_CHANGES, "probabilities": "sigmoid", "log_probabilities": "log_sigmoid"}
#: What becomes of targets that are class indices.
_OF_INDICES: dict[str, TargetChange] = {
    "dense": "one_hot",
    "multilabel": "one_hot",
    "probabilities": "one_hot",
    "signs": "signs",
    "label_lists": "label_lists",
}
#: What becomes of targets that are 0 or 1 for each class.
_OF_ZEROS_AND_ONES: dict[str, TargetChange] = {"signs": "signs", "label_lists": "label_lists"}


@attrs.define(eq=False)  # not frozen, which costs a microsecond for each that is made
class LossAdapter:
    """A loss with what is done to output and target before they reach it.

    Attributes:
        criterion: The loss itself.
        input: What is done to the output; a (log-)softmax goes over dimension 1.
        target: What is done to the target; `one_hot` gives it the output's shape and dtype, `signs` has -1 for 0, and
            `label_lists` has the indices of a sample's classes and then -1.
        averages: What the value is a mean over, as the loss declares.
        takes_index: Whether the loss declares that it takes class indices.
        from_indices: Whether the targets of the data set are class indices.
        threshold: From what output on a sample is said to have a class, where it may have any number of them.
    """

    criterion: Criterion
    input: InputChange = "unchanged"
    target: TargetChange = "unchanged"
    averages: Literal["sample", "element"] | None = None
    takes_index: bool = False
    from_indices: bool = False
    threshold: float = 0.0

    @property
    def ignore_index(self) -> int | None:
        """The target that does not count, or None."""
        ignored = getattr(self.criterion, "ignore_index", None)
        return ignored if isinstance(ignored, int) and self.target == "unchanged" else None

    def summed(self) -> LossAdapter | None:
        """The same loss with `reduction="sum"`, which shares its weights; None if it has no mean to replace."""
        if getattr(self.criterion, "reduction", None) != "mean":
            return None
        try:
            criterion = copy.copy(self.criterion)
            criterion.reduction = "sum"  # type: ignore[attr-defined]  # it has the attribute, as was seen
        except Exception:  # whatever a class makes of being copied or changed
            return None
        return attrs.evolve(self, criterion=criterion)

    def __call__(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch: output `(N, C, *)`, target as the data set has it."""
        if self.target != "unchanged":
            target = self._changed(target, output)
        if self.input != "unchanged":
            output = self._activated(output)
        return self.criterion(output, target)

    def _changed(self, target: Tensor, output: Tensor) -> Tensor:
        if self.from_indices:
            target = one_hot_like(target, output)
        if self.target == "signs":
            return target * 2 - 1
        return label_lists(target) if self.target == "label_lists" else target

    def _activated(self, output: Tensor) -> Tensor:
        if self.input == "softmax":
            return output.softmax(dim=1)
        if self.input == "log_softmax":
            return output.log_softmax(dim=1)
        return output.sigmoid() if self.input == "sigmoid" else functional.logsigmoid(output)


def label_lists(target: Tensor) -> Tensor:
    """Targets of 0 and 1 `(N, C)` as lists of the classes that are 1, and then -1, as MultiLabelMarginLoss takes them.

    Example:
        >>> label_lists(torch.tensor([[0, 1, 1], [0, 0, 0]])).tolist()
        [[1, 2, -1], [-1, -1, -1]]
    """
    classes = target.shape[1]
    places = torch.arange(classes, device=target.device).expand_as(target)
    lists = places.masked_fill(target == 0, classes).sort(dim=1).values
    return lists.masked_fill(lists == classes, -1)


def one_hot_like(target: Tensor, output: Tensor) -> Tensor:
    """Class indices `(N, *)` as one-hot vectors of the output's shape `(N, C, *)` and dtype."""
    return functional.one_hot(target, output.shape[1]).movedim(-1, 1).to(output.dtype)


def adapt(criterion: Criterion, component: Loss | None, task: Task) -> LossAdapter:
    """Decides from the loss's contract how output and target reach it.

    Args:
        criterion: The loss itself.
        component: What it declares; None, for a Python object that declares nothing, leaves both unchanged.
        task: The task of the data set.
    """
    return adapting(component, task)(criterion)


def adapting(component: Loss | None, task: Task) -> Callable[[Criterion], LossAdapter]:
    """What does that to one loss and another.

    Args:
        component: What they declare, or None.
        task: The task of the data set.
    """
    if component is None:
        return LossAdapter
    inputs = _OF_LABELS if task == "multilabel" else _INPUT_CHANGES
    targets = _OF_INDICES if has_indices(task) else _OF_ZEROS_AND_ONES
    return functools.partial(
        LossAdapter,
        input=inputs.get(component.input, "unchanged"),
        target=targets.get(component.target or "", "unchanged"),
        averages=component.averages,
        takes_index=component.target == "index",
        from_indices=has_indices(task),
    )
