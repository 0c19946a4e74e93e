"""One batch of a host, through copies of model and loss and back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import Tensor

from lossreg.data import Data, Task
from lossreg.errors import ContractError
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.reader import check_classes
from lossreg.training.loss.contract import check_contract, mismatch_of

if TYPE_CHECKING:
    from lossreg.registry.registries import Registries
    from lossreg.training.choice import Choice
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
    mismatch = mismatch_of(labels)
    if not (isinstance(batch, tuple | list) and len(batch) == 2 and all(isinstance(one, Tensor) for one in batch)):
        raise mismatch("a batch is a pair of tensors, inputs and targets, as the loss is given the latter")
    inputs, targets = batch
    if not len(inputs) or len(inputs) != len(targets):
        raise mismatch(f"the batch has {len(inputs)} inputs and {len(targets)} targets")
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
    except ContractError as error:
        error.message = error.message.replace("data set the batch", "the batch")
        raise
    finally:
        for module, mode in modes.items():
            module.training = mode
