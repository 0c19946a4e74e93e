"""Whether the first batch has a loss that can be trained with, and what is to blame if it does not."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from lossreg.training.loss.reduction import class_weights_of

if TYPE_CHECKING:
    from lossreg.training.data.splits import Split
    from lossreg.training.loss.contract import Mismatch, ProbeResult
    from lossreg.training.loss.objective import Objective
    from lossreg.training.loss.reduction import Reduction


def check_first_loss(
    objective: Objective, probe: ProbeResult, reduction: Reduction, splits: Mapping[str, Split], mismatch: Mismatch
) -> None:
    """Checks that the class weights let something count, and that the loss of the first batch is a finite number.

    Args:
        objective: Model and loss, as they will be trained.
        probe: What a copy of them gave for the first batch.
        reduction: What the loss divides by.
        splits: `train` and `test`.
        mismatch: Makes the error.

    Raises:
        ContractError: If not; it names what is not finite.
    """
    # What declares nothing may mean something else by `weight`.
    is_declared = objective.adapter.takes_index
    weights = class_weights_of(objective.adapter, probe.output, probe.targets) if is_declared else None
    if weights is not None:
        _check_class_weights(weights, splits, mismatch)
    if torch.isfinite(probe.value):
        return
    if reduction.rule == "weights" and not reduction.weight(probe.targets[: probe.output_shape[0]]) > 0:
        return  # 0 / 0, for want of a target that counts; training leaves such a batch out
    value = f"the loss of the first batch is {float(probe.value):g}, before any step"
    raise mismatch(f"{value}: {_cause(objective, probe.output, probe.targets)}")


def _check_class_weights(weights: Tensor, splits: Mapping[str, Split], mismatch: Mismatch) -> None:
    shown = ", ".join(f"{number:g}" for number in weights[:10].tolist()) + (", ..." if len(weights) > 10 else "")
    if not torch.isfinite(weights).all():
        raise mismatch(f"the class weights of the loss (weight=[{shown}]) are not all finite numbers")
    counting = weights.nonzero().flatten().tolist()
    if not counting:
        raise mismatch(f"the class weights of the loss (weight=[{shown}]) are all 0, so no target counts")
    for name, split in splits.items():
        if len(counting) < len(weights) and not any(map(split.may_hold, counting)):
            raise mismatch(
                f"no target of the {name} split counts: the class weights of the loss (weight=[{shown}]) are 0 for "
                "every class that occurs there"
            )


def _cause(objective: Objective, output: Tensor, targets: Tensor) -> str:
    broken = _not_finite(objective.model)
    if broken:
        return f"the model's weights hold NaN or infinity in {broken}"
    if not torch.isfinite(output).all():
        return "the model's output holds NaN or infinity, though its weights and the inputs do not"
    ignored = objective.adapter.ignore_index
    if ignored is not None and bool((targets == ignored).all()):
        return (
            f"all targets of that batch are ignored (ignore_index={ignored} of the loss), so its mean divides 0 by 0; "
            "a loss that returns 0 for such a batch can be trained"
        )
    criterion = objective.adapter.criterion
    weight = getattr(criterion, "weight", None)
    if isinstance(weight, Tensor) and not weight.any():
        return "all weights of the loss (weight) are 0"
    broken = _not_finite(criterion) if isinstance(criterion, nn.Module) else ""
    if broken:
        return f"the loss holds NaN or infinity in {broken}"
    return "the model's output is finite, so it is the loss that divides by 0 or takes the logarithm of 0 there"


def _not_finite(module: nn.Module) -> str:
    """The first tensors of a module that hold what is not finite, as text."""
    named = [
        name
        for name, value in module.state_dict().items()
        if isinstance(value, Tensor) and value.is_floating_point() and not torch.isfinite(value).all()
    ]
    return ", ".join(named[:5]) + (f" and {len(named) - 5} more" if len(named) > 5 else "")
