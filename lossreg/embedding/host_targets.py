"""What a loss of the parts is given by a host: targets in the type that losses take, and shapes that fit."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import torch
from torch import Tensor

from lossreg.data import has_indices
from lossreg.errors import ContractError
from lossreg.training.loss.fitting import shape_misfit, value_misfit

if TYPE_CHECKING:
    from lossreg.data import Task
    from lossreg.training.loss.adapter import LossAdapter

_WIDER = (torch.float64, torch.float32)  # of targets and of an output: what losses refuse to mix


@attrs.frozen
class Given:
    """What a loss takes, looked at in each step of a host without waiting for a device.

    Attributes:
        label: The loss in an error message.
        task: What the targets are.
        form: What is asked of them: class indices beside an output `(N, classes, *)`, or the shape of the output; None
            where nothing is known of them.
        one_hot: Whether vectors are made of class indices, of which one class has none that tell anything.
    """

    label: str
    task: Task
    form: Literal["indices", "equal"] | None
    one_hot: bool

    @classmethod
    def of(cls, label: str, task: Task, adapter: LossAdapter, *, is_sure: bool) -> Given:
        """What is asked.

        Args:
            label: The loss in an error message.
            task: The task that it is adapted to.
            adapter: The loss, and what is done before it.
            is_sure: Whether the task is that of the targets, and not one of several that the loss takes alike.
        """
        makes_vectors = adapter.from_indices and adapter.target != "unchanged"
        form: Literal["indices", "equal"] | None = None
        if has_indices(task):
            form = "indices" if is_sure or adapter.takes_index or makes_vectors else None
        elif is_sure:
            form = "equal"
        return cls(label, task, form, makes_vectors)

    def checked(self, output: Tensor, target: Tensor) -> Tensor:
        """The target in the type that losses take.

        Raises:
            ContractError: If the shapes do not fit; torch would broadcast them.
        """
        if not (isinstance(output, Tensor) and isinstance(target, Tensor)):
            return target  # which is between a host and a loss of its own
        if self.form == "indices":
            if target.dtype != torch.int64:
                if target.is_floating_point() or target.is_complex():
                    return target  # probabilities, or what the loss refuses
                target = target.long()
            shape, wanted = output.shape, target.shape
            # Of two dimensions, which most are, numbers are compared: slices of a shape take longer than all else here.
            two = len(shape) == 2
            fits = len(wanted) == 1 and shape[0] == wanted[0] if two else shape[:1] + shape[2:] == wanted
            if not fits or len(shape) < 2 or (self.one_hot and shape[1] == 1):
                self._refuse(output, target)
        elif self.form == "equal":
            if output.shape != target.shape:
                self._refuse(output, target)
            if self.task == "multilabel" and target.dtype != output.dtype:
                return zeros_and_ones(target, output.dtype)
        return target

    def _refuse(self, output: Tensor, target: Tensor) -> None:
        why = shape_misfit(tuple(output.shape), tuple(target.shape), self.task)
        if why is None:
            why = (
                f"the model gives {tuple(output.shape)}, so that its classes are 0 to 0; a {self.task} has an output "
                "for each class. One output for yes or no is task='multilabel', with targets of its shape"
            )
        raise self._error(why)

    def refuse_value(self, value: Tensor, adapter: LossAdapter) -> None:
        """Raises the error of a value that is not a single number.

        Raises:
            ContractError: Always.
        """
        reduction = getattr(adapter.criterion, "reduction", None)
        raise self._error(f"the loss gives {value_misfit(f'shape {tuple(value.shape)}', '', reduction)}")

    def _error(self, why: str) -> ContractError:
        message = f"loss {self.label} and the batch do not fit: {why}"
        return ContractError(message, model="", loss=self.label, data="the batch")


def zeros_and_ones(target: Tensor, dtype: torch.dtype) -> Tensor:
    """Targets that are 0 or 1 for each class in the type of the output, which is what losses take.

    Those of 32 bits beside an output of 16 stay: they may be smoothed, and losses take them.

    Args:
        target: `(N, classes, *)`.
        dtype: Of the output.

    Example:
        >>> zeros_and_ones(torch.tensor([True, False]), torch.float32)
        tensor([1., 0.])
    """
    if dtype.is_floating_point and (not target.is_floating_point() or (target.dtype, dtype) == _WIDER):
        return target.to(dtype)
    return target


def takes_indices(adapter: LossAdapter) -> bool:
    """Whether a loss is given class indices, or what is made of them."""
    return adapter.takes_index or (adapter.from_indices and adapter.target != "unchanged")


def number_misfit(targets: Tensor, adapter: LossAdapter, task: Task) -> str | None:
    """What is wrong with targets that are no integers where class indices are asked for; None if they are integers.

    Args:
        targets: Of the batch.
        adapter: A loss that takes class indices.
        task: The task that it is adapted to.
    """
    if not (targets.is_floating_point() or targets.is_complex()):
        return None
    what = "the loss takes" if adapter.takes_index else f"the targets of a {task} are"
    whole = bool((targets == targets.real.floor()).all())
    way_out = ". targets.long() makes class indices of them" if whole else ""
    return (
        f"{what} class indices (torch.int64), and those of the batch are {targets.dtype} {tuple(targets.shape)}"
        f"{way_out}"
    )
