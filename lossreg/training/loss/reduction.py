"""How the value of a loss on a batch follows from its values on parts of the batch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import attrs
import torch
from torch import Tensor

if TYPE_CHECKING:
    from lossreg.training.loss.adapter import LossAdapter


@attrs.frozen(eq=False)
class Reduction:
    """What a loss divides by, so that batches can be cut, accumulated and averaged.

    Attributes:
        rule: `samples`: the value is a mean in which each sample has the same weight. `weights`: a mean over targets,
            of which some weigh more and some nothing. `sum`: a sum. None: no value on parts makes that on the whole;
            parts are weighted by their samples then, which is not the same.
        class_weights: For `weights`: the weight of each class `(C,)`, or None.
        ignored: For `weights`: the target that weighs nothing, or None.
        spare: For `weights`: a class that weighs something.
    """

    rule: Literal["samples", "weights", "sum"] | None
    class_weights: Tensor | None = None
    ignored: int | None = None
    spare: int = 0

    def weight(self, targets: Tensor) -> Tensor:
        """What a mean over these targets divides by, 0-d; for the rule `weights`."""
        counted = torch.ones_like(targets, dtype=torch.bool) if self.ignored is None else targets != self.ignored
        if self.class_weights is None:
            return counted.sum(dtype=torch.float32)
        return self.class_weights[torch.where(counted, targets, self.spare)].mul(counted).sum()

    def guarded(self, targets: Tensor, weight: Tensor) -> Tensor:
        """The targets, or others where none counts: 0 / 0 would stay NaN, in gradients too, when weighted with 0."""
        return torch.where(weight > 0, targets, self.spare)


def reduction_of(adapter: LossAdapter, output: Tensor, targets: Tensor, *, may_be_ignored: bool) -> Reduction:
    """What a loss divides by, from what it declares and from the attributes that torch's losses have.

    A loss with class indices that averages over elements and has `ignore_index`, or `weight` with one number for each
    class, divides by the weights of the targets that count, as `torch.nn.CrossEntropyLoss` does, unless its values on
    the halves of a batch say otherwise (`torch.nn.MultiMarginLoss`). `reduction="sum"` makes every such loss a sum.

    Args:
        adapter: The loss, and what is done before it.
        output: Of the model for a batch, `(N, C, *)`.
        targets: Of the batch.
        may_be_ignored: Whether a target may be the loss's `ignore_index`.
    """
    if adapter.averages is None:
        return Reduction(None)
    if getattr(adapter.criterion, "reduction", None) == "sum":
        return Reduction("sum")
    ignored = adapter.ignore_index if may_be_ignored else None
    weights = _class_weights(adapter, output)
    samples = Reduction("samples")
    if adapter.averages == "sample" or (ignored is None and weights is None):
        return samples
    classes = torch.arange(2) if weights is None else weights.argsort(descending=True)
    spare = next(int(number) for number in classes if int(number) != ignored)
    weighted = Reduction("weights", weights, ignored, spare)
    if not _adds_up(adapter, weighted, output, targets) and _adds_up(adapter, samples, output, targets):
        return samples
    return weighted


@torch.no_grad()
def _adds_up(adapter: LossAdapter, reduction: Reduction, output: Tensor, targets: Tensor) -> bool:
    """Whether the values on the halves of a batch make that on the whole, if each is weighted so."""
    # Sorted by what they hold, so that the halves weigh differently.
    order = targets.flatten(1).sum(1).argsort() if targets.ndim > 1 else targets.argsort()
    whole, *halves = [
        (
            adapter(output[part], targets[part]),
            reduction.weight(targets[part]) if reduction.rule == "weights" else len(part),
        )
        for part in (order, *order.chunk(2))
    ]
    total = sum(value * weight for value, weight in halves) / sum(weight for _, weight in halves)
    return bool(torch.isclose(torch.as_tensor(total), whole[0], rtol=1e-3))


def _class_weights(adapter: LossAdapter, output: Tensor) -> Tensor | None:
    weights = getattr(adapter.criterion, "weight", None)
    takes_index = adapter.takes_index and adapter.target == "unchanged"
    return weights if takes_index and isinstance(weights, Tensor) and weights.shape == output.shape[1:2] else None
