"""Between model and loss: what a loss declares decides how output and target reach it."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import TYPE_CHECKING, Literal

import attrs
from torch import Tensor
from torch.nn import functional

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Task

Criterion = Callable[[Tensor, Tensor], Tensor]  # the loss itself: a module or a function of output and target

InputChange = Literal["unchanged", "softmax", "log_softmax"]
TargetChange = Literal["unchanged", "one_hot"]

_INPUT_CHANGES: dict[str, InputChange] = {"probabilities": "softmax", "log_probabilities": "log_softmax"}


@attrs.frozen(eq=False)
class LossAdapter:
    """A loss with what is done to output and target before they reach it.

    Attributes:
        criterion: The loss itself.
        input: What is done to the output, over dimension 1.
        target: What is done to the target; `one_hot` gives it the output's shape and dtype.
        averages: What the value is a mean over, as the loss declares.
        takes_index: Whether the loss declares that it takes class indices.
    """

    criterion: Criterion
    input: InputChange = "unchanged"
    target: TargetChange = "unchanged"
    averages: Literal["sample", "element"] | None = None
    takes_index: bool = False

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
        if self.target == "one_hot":
            target = one_hot_like(target, output)
        if self.input == "softmax":
            output = output.softmax(dim=1)
        elif self.input == "log_softmax":
            output = output.log_softmax(dim=1)
        return self.criterion(output, target)


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
    if component is None:
        return LossAdapter(criterion)
    return LossAdapter(
        criterion,
        input=_INPUT_CHANGES.get(component.input, "unchanged"),
        target="one_hot" if component.target == "dense" and task != "regression" else "unchanged",
        averages=component.averages,
        takes_index=component.target == "index",
    )
