"""How the value of a loss on a batch follows from its values on parts of the batch."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal

import attrs
import torch
from torch import Tensor

from lossreg.plugins.isolation import is_from_outside

if TYPE_CHECKING:
    from lossreg.training.loss.adapter import LossAdapter

Rule = Literal["samples", "weights", "sum"]

_ENOUGH = 6  # samples of a batch of which a part, though an eighth of them is ignored, has a target that counts
TOLERANCE = 1e-3  # of the greatest value: float32, in whatever order a loss adds up


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
        summed: For `weights`: the loss as a sum, or None if it has no such form. A mean times its weight says too
            little where a target of no weight adds to the loss, as with label smoothing.
        warning: A sentence about a declaration that is not true, or None.
    """

    rule: Rule | None
    class_weights: Tensor | None = None
    ignored: int | None = None
    spare: int = 0
    summed: LossAdapter | None = None
    warning: str | None = None

    def weight(self, targets: Tensor) -> Tensor:
        """What a mean over these targets divides by, 0-d; for the rule `weights`."""
        counted = torch.ones_like(targets, dtype=torch.bool) if self.ignored is None else targets != self.ignored
        if self.class_weights is None:
            return counted.sum(dtype=torch.float32)
        return self.class_weights[torch.where(counted, targets, self.spare)].mul(counted).sum()

    def guarded(self, targets: Tensor, weight: Tensor) -> Tensor:
        """The targets, or others where none counts: 0 / 0 would stay NaN, in gradients too, when weighted with 0."""
        return torch.where(weight > 0, targets, self.spare)

    def total(self, adapter: LossAdapter, output: Tensor, targets: Tensor, weight: Tensor) -> Tensor:
        """The sum that a mean over these targets divides, 0-d; for the rule `weights`.

        Args:
            adapter: The loss.
            output: Of the model.
            targets: Of the batch.
            weight: Of these targets.
        """
        if self.summed is not None:
            return self.summed(output, targets)
        return adapter(output, self.guarded(targets, weight)) * weight


def reduction_of(
    adapter: LossAdapter, tried: LossAdapter, output: Tensor, targets: Tensor, *, may_be_ignored: bool
) -> Reduction:
    """What a loss divides by, from what it declares, from attributes that torch's losses have, and from its values.

    A loss with class indices that averages over elements and has `ignore_index`, or `weight` with one number for each
    class, divides by the weights of the targets that count, as `torch.nn.CrossEntropyLoss` does. `reduction="sum"`
    makes a loss a sum. All of this is compared with the values of the loss on a batch and on two parts of it; where
    they say otherwise, they are believed. A loss that declares nothing and has `ignore_index` or `weight`, such as an
    object of `torch.nn.NLLLoss`, divides by the weights if its values for targets of all classes say so.

    Args:
        adapter: The loss, and what is done before it.
        tried: A copy of it, of which the values are taken.
        output: Of the model for a batch, `(N, C, *)`.
        targets: Of the batch.
        may_be_ignored: Whether a target may be the loss's `ignore_index`.
    """
    sums = getattr(adapter.criterion, "reduction", None) == "sum"
    ignored = adapter.ignore_index if may_be_ignored else None
    weights = class_weights_of(adapter, output, targets)
    if adapter.averages is None and not sums:
        undeclared = _undeclared(adapter, tried, output, targets, weights, ignored)
        return undeclared if undeclared.rule is not None else _named_mean(adapter, tried, output, targets)
    values = _Values.of(tried, output, targets)
    if adapter.averages is None and values is None:
        return Reduction(None)
    if sums:
        expected: list[Reduction] = [Reduction("sum")]
    else:
        expected = [Reduction("samples")]
        if adapter.averages == "element" and not (ignored is None and weights is None):
            weighted = _weighted(weights, ignored)
            total = tried.summed()
            if total is not None and _is_total(total, tried, weighted, output, targets):
                return attrs.evolve(weighted, summed=adapter.summed())
            expected = [weighted, *expected]
    for reduction in expected:
        if values is None or values.agree(reduction):
            return reduction
    if adapter.averages is None:
        return Reduction(None)  # `reduction` is about something else, such as classes
    return _corrected(adapter, values, sums=sums)


def _undeclared(
    adapter: LossAdapter,
    tried: LossAdapter,
    output: Tensor,
    targets: Tensor,
    weights: Tensor | None,
    ignored: int | None,
) -> Reduction:
    """What a loss without a declaration divides by: the weights of its targets, if its values show it."""
    if targets.is_floating_point() or (weights is None and ignored is None):
        return Reduction(None)
    times = -(-_ENOUGH // len(targets))
    output, targets = torch.cat([output] * times), torch.cat([targets] * times)
    shown = torch.arange(targets.numel(), device=targets.device).reshape(targets.shape) % output.shape[1]
    if ignored is not None:
        shown.flatten()[::8] = ignored  # fewer than a third of that many: no part has nothing else
    values, weighted = _Values.of(tried, output, shown), _weighted(weights, ignored)
    if values is None or not values.agree(weighted):
        return Reduction(None)
    total = tried.summed()
    is_total = total is not None and _is_total(total, tried, weighted, output, shown)
    return attrs.evolve(weighted, summed=adapter.summed()) if is_total else weighted


def _named_mean(adapter: LossAdapter, tried: LossAdapter, output: Tensor, targets: Tensor) -> Reduction:
    """What a loss is that has `reduction="mean"` and no declaration: a sum, if its values show it."""
    if getattr(adapter.criterion, "reduction", None) != "mean":
        return Reduction(None)
    values = _Values.of(tried, output, targets)
    if values is None or values.agree(Reduction("samples")) or not values.agree(Reduction("sum")):
        return Reduction(None)
    said = "has reduction='mean', but its value for the first batch is the sum of its values for the parts of it"
    return Reduction("sum", warning=f"{said}: it is trained as what it is")


def _weighted(weights: Tensor | None, ignored: int | None) -> Reduction:
    classes = torch.arange(2) if weights is None else weights.argsort(descending=True)
    spare = next((int(number) for number in classes if int(number) != ignored), 0)
    return Reduction("weights", weights, ignored, spare)


def _corrected(adapter: LossAdapter, values: _Values | None, *, sums: bool) -> Reduction:
    """What the values say where they contradict the declaration."""
    said = "has reduction='sum'" if sums else f"declares averages={adapter.averages!r}"
    for rule, meaning in (("samples", "the mean of"), ("sum", "the sum of")):
        reduction = Reduction(rule)  # type: ignore[arg-type]  # the tuple above holds the words
        if values is not None and values.agree(reduction):
            shown = f"its value for the first batch is {meaning} its values for the parts of it"
            return attrs.evolve(reduction, warning=f"{said}, but {shown}: it is trained as what it is")
    shown = "its value for the first batch is neither the mean nor the sum of its values for the parts of it"
    return Reduction(None, warning=f"{said}, but {shown}: it is trained as a loss that declares averages=None")


@torch.no_grad()
def _is_total(total: LossAdapter, mean: LossAdapter, reduction: Reduction, output: Tensor, targets: Tensor) -> bool:
    """Whether a loss as a sum is its mean times the weight of the targets; also of the batch twice.

    A loss that goes on to return a mean does not double.
    """
    try:
        targets = reduction.guarded(targets, reduction.weight(targets))
        expected = float(mean(output, targets) * reduction.weight(targets))
        once, twice = (float(total(torch.cat([output] * times), torch.cat([targets] * times))) for times in (1, 2))
    except BaseException as error:  # foreign code, of which only this is asked
        if is_from_outside(error):
            raise
        return False
    close = math.isclose(once, expected, rel_tol=TOLERANCE) and math.isclose(twice, 2 * expected, rel_tol=TOLERANCE)
    return close and math.isfinite(expected)


@attrs.frozen(eq=False)
class _Values:
    """The values of a loss on a batch and on two parts of it, with the targets of each."""

    whole: float
    parts: Sequence[float]
    targets: Sequence[Tensor]

    @classmethod
    @torch.no_grad()
    def of(cls, adapter: LossAdapter, output: Tensor, targets: Tensor) -> _Values | None:
        """Takes the values; None if there are none for a part, or they are not finite."""
        if len(targets) == 1:  # twice the same sample tells a mean from a sum, at least
            output, targets = torch.cat([output, output]), torch.cat([targets, targets])
        # Sorted by what they hold and cut unevenly, so that the parts differ in every respect.
        order = targets.flatten(1).sum(1).argsort() if targets.ndim > 1 else targets.argsort()
        cut = max(len(order) // 3, 1)
        pieces = [order, order[:cut], order[cut:]]
        try:
            whole, *parts = (float(adapter(output[piece], targets[piece])) for piece in pieces)
        except BaseException as error:  # its weights may be those of a whole batch
            if is_from_outside(error):
                raise
            return None
        if not all(map(math.isfinite, (whole, *parts))):
            return None
        return cls(whole, parts, [targets[piece] for piece in pieces[1:]])

    def agree(self, reduction: Reduction) -> bool:
        """Whether the values of the parts make that of the whole as a reduction says."""
        if reduction.rule == "sum":
            made = sum(self.parts)
        else:
            weighs = reduction.rule == "weights"
            weights = [float(reduction.weight(part)) if weighs else len(part) for part in self.targets]
            made = sum(map(float.__mul__, self.parts, map(float, weights))) / (sum(weights) or math.nan)
        return abs(made - self.whole) <= TOLERANCE * max(map(abs, (self.whole, *self.parts)))


def class_weights_of(adapter: LossAdapter, output: Tensor, targets: Tensor) -> Tensor | None:
    """The weight of each class, `(C,)`, or None; for class probabilities, a mean is over samples all the same."""
    weights = getattr(adapter.criterion, "weight", None)
    is_index = adapter.takes_index or adapter.averages is None
    takes_index = is_index and adapter.target == "unchanged" and not targets.is_floating_point()
    return weights if takes_index and isinstance(weights, Tensor) and weights.shape == output.shape[1:2] else None
