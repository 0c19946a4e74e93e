"""One batch of a host, through copies of model and loss and back."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from lossreg.data import Data, Task, has_indices
from lossreg.embedding.host_targets import number_misfit, takes_indices, zeros_and_ones
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.reader import check_classes
from lossreg.training.loss.contract import Mismatch, check_contract, losses_for, mismatch_of

if TYPE_CHECKING:
    from lossreg.registry.registries import Registries
    from lossreg.training.choice import Choice
    from lossreg.training.loss.adapter import LossAdapter
    from lossreg.training.loss.gradients import SparseGradient
    from lossreg.training.loss.objective import Objective


class BatchSplit:
    """A batch in the place of a split of a data set.

    Args:
        inputs: `(N, ...)`.
        targets: `(N, *)`.
    """

    loader = "resident"
    reason = "it is one batch"

    def __init__(self, inputs: Tensor, targets: Tensor) -> None:
        self._batch = inputs, targets

    def __len__(self) -> int:
        return len(self._batch[1])

    def head(self, count: int) -> tuple[Tensor, Tensor]:
        """The first samples."""
        inputs, targets = self._batch
        return inputs[:count], targets[:count]

    def expect(self, classes: int | None, ignored: int | None) -> None:
        """Checks class indices.

        Raises:
            DataError: If a target is none of the model's classes.
        """
        if classes is not None:
            check_classes(self._batch[1], classes, ignored, "the batch")


def probe(
    objective: Objective, loss: Choice, task: Task, batch: Any, registries: Registries
) -> tuple[SparseGradient, ...]:
    """Checks that a batch goes through.

    Returns:
        The parameters whose gradients are sparse.

    Raises:
        ContractError: If model, loss and batch do not fit.
    """
    labels = {"model": type(objective.model).__name__, "loss": loss.label, "data": "the batch"}
    mismatch = mismatch_of(labels, kind="")
    if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(one, Tensor) for one in batch)):
        raise mismatch("a batch is a pair of tensors, inputs and targets, as the loss is given the latter")
    inputs, targets = batch
    if not len(inputs) or len(inputs) != len(targets):
        raise mismatch(f"the batch has {len(inputs)} inputs and {len(targets)} targets")
    task = _task_of(targets, objective.adapter, task)
    _check_indices(targets, objective.adapter, task, mismatch, functools.partial(_fitting, registries))
    targets = _converted(targets, task)
    split: Any = BatchSplit(inputs, targets)
    count: dict[str, Any] = (
        {"out_features": 1} if task == "regression" else {"num_classes": 1}
    )  # what the contract does not look at
    data = Data((inputs, targets), (inputs, targets), task, tuple(inputs.shape[1:]), **count)
    plan = BatchPlan(len(targets), len(targets))
    modes = {module: module.training for module in objective.modules()}
    try:
        return check_contract(
            objective, loss.component, data, {"train": split}, plan, mismatch, registries.losses
        ).sparse
    finally:
        for module, mode in modes.items():
            module.training = mode


def _task_of(targets: Tensor, adapter: LossAdapter, task: Task) -> Task:
    """The task; numbers are none of class indices where the loss takes its targets as they are."""
    if has_indices(task) and not takes_indices(adapter) and targets.is_floating_point():
        return "regression"
    return task


def _converted(targets: Tensor, task: Task) -> Tensor:
    """The targets in the type that losses take, as a run and `parts.loss` have them."""
    if task == "multilabel":
        return zeros_and_ones(targets, torch.get_default_dtype())
    if has_indices(task) and not targets.is_floating_point() and not targets.is_complex():
        return targets.long()
    return targets


def _check_indices(
    targets: Tensor, adapter: LossAdapter, task: Task, mismatch: Mismatch, fitting: Callable[[Tensor], str]
) -> None:
    """Checks that targets can be class indices where the loss takes these.

    Raises:
        ContractError: If they cannot; it names losses that take such targets.
    """
    if not has_indices(task) or not takes_indices(adapter):
        return
    why = number_misfit(targets, adapter, task)
    if why is not None:
        raise mismatch(f"{why}. {fitting(targets)}".rstrip())


def _fitting(registries: Registries, targets: Tensor) -> str:
    """A sentence on the losses that take such targets, each with its task; nothing if none does."""
    tasks: list[Task] = []
    if targets.ndim > 1 and bool(((targets == 0) | (targets == 1)).all()):
        tasks.append("multilabel")
    if targets.is_floating_point():
        tasks.append("regression")
    names = [(", ".join(losses_for(task, registries.losses, None)), task) for task in tasks]
    return "Losses that fit: " + "; ".join(f"{some} (task={task!r})" for some, task in names) if names else ""
