"""Why a loss failed on a batch of a host, where output and target show it; looked for after the error alone."""

from __future__ import annotations

from typing import TYPE_CHECKING

from torch import Tensor

from lossreg.data import has_indices
from lossreg.embedding.host_targets import number_misfit, takes_indices
from lossreg.errors import DataError
from lossreg.training.data.reader import check_classes

if TYPE_CHECKING:
    from lossreg.data import Task
    from lossreg.training.loss.adapter import LossAdapter

_ADVICE = "if model, loss and batch do not fit, parts.check(model, (inputs, targets)) says why"


def note_of_failure(label: str, task: Task, adapter: LossAdapter, output: object, target: object) -> str:
    """The note for the error of a loss: which loss it was, and why it failed or how to find out.

    Args:
        label: The loss.
        task: The task that it is adapted to.
        adapter: The loss, and what is done before it.
        output: What it was given of the model.
        target: What it was given of the data set.
    """
    raised = f"lossreg: raised by the loss {label}"
    try:
        why = _reason(task, adapter, output, target)
    except Exception:  # tensors whose values cannot be read: of a device that failed, or of torch.func
        why = None
    return f"{raised}; {_ADVICE}" if why is None else f"{raised}: {why}"


def _reason(task: Task, adapter: LossAdapter, output: object, target: object) -> str | None:
    if not (isinstance(output, Tensor) and isinstance(target, Tensor)):
        return None
    if not (output.is_floating_point() or output.is_complex()):
        if target.is_floating_point():
            return (
                f"the output is {output.dtype} {tuple(output.shape)} and the target {target.dtype} "
                f"{tuple(target.shape)}, which may be swapped: the model's output comes first"
            )
        return f"the output is {output.dtype}; floating point is needed"
    if not has_indices(task) or not takes_indices(adapter):
        return None
    return number_misfit(target, adapter, task) or _class_misfit(target, adapter, output.shape[1])


def _class_misfit(target: Tensor, adapter: LossAdapter, classes: int) -> str | None:
    try:
        check_classes(target, classes, adapter.ignore_index, "the batch")
    except DataError as error:
        return str(error)
    return None
