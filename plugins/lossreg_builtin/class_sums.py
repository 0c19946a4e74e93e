"""Sums per class over a batch, of which the losses of regions (Dice and its kin) are made."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd import forward_ad
from torch.nn import functional

# Elements for which torch wakes no second thread (its grain size). For fewer, the plain formula is the fastest.
SERIAL = 2**15
# So many numbers are added one after another, in float32 with no more error than torch's own sum has.
ROW = 2**8


def class_sums(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: A002  # torch's word
    """For each class, the sums of `p * t`, of `p` and of `t`: `p` the softmax of the logits, `t` the one-hot target.

    They are the soft true positives, all that is predicted and all that is there, over the batch and all positions.
    Gradients of any order reach `input`. For images and volumes on the CPU there is no one-hot tensor: beside the
    inputs, forward and backward pass hold the probabilities, in whose place the gradient is written, one number for
    each position, and small blocks.

    Shape:
        - input: `(N, C, *)`, logits, floating point.
        - target: `(N, *)`, int64, class indices in `[0, C)`.
        - output: three of `(C,)`; float32, or float64 if the input is.

    Raises:
        ValueError: If the shapes do not fit.
        RuntimeError: If a target is not an int64 in `[0, C)`.

    Example:
        >>> import torch
        >>> class_sums(torch.zeros(4, 2), torch.tensor([0, 1, 1, 1]))
        (tensor([0.5000, 1.5000]), tensor([2., 2.]), tensor([1., 3.]))
    """
    if input.ndim < 2 or target.shape != input.shape[:1] + input.shape[2:]:
        raise ValueError(f"input is (N, C, *) and target (N, *), not {tuple(input.shape)} and {tuple(target.shape)}")
    if input.ndim == 2 or input.numel() < SERIAL or not _without_one_hot(input, target):
        return _by_one_hot(input, target)
    try:
        sums = _ClassSums.apply(input.flatten(2), target.flatten(1))
    except (IndexError, RuntimeError):
        return _by_one_hot(input, target)  # says which rule a target breaks
    return sums[0], sums[1], sums[2]


def _without_one_hot(input: Tensor, target: Tensor) -> bool:  # noqa: A002  # torch's word
    """Whether these are ordinary tensors on the CPU that nothing traces or transforms."""
    return not (
        torch.compiler.is_compiling()  # which makes a loop of the formula
        or torch.jit.is_tracing()  # type: ignore[attr-defined, no-untyped-call]  # documented, but not annotated
        or type(input) not in (Tensor, nn.Parameter)
        or type(target) is not Tensor
        or not input.device.type == target.device.type == "cpu"
        or not input.is_floating_point()
        or target.dtype != torch.int64
        or torch.func.debug_unwrap(input) is not input  # torch.func.vmap, grad, jvp
        or torch.func.debug_unwrap(target) is not target
        or forward_ad.unpack_dual(input).tangent is not None
    )


def _softmax(logits: Tensor) -> Tensor:
    """The probabilities, in float32 or float64: half precision cannot hold the sums (2048 + 1 is 2048 in float16)."""
    return logits.softmax(dim=1, dtype=torch.float64 if logits.dtype == torch.float64 else torch.float32)


def _softmax_and_of_targets(logits: Tensor, target: Tensor) -> tuple[Tensor, Tensor]:
    """The probabilities, and those of the targets' classes, `(N, 1, L)`."""
    probabilities = _softmax(logits)
    return probabilities, probabilities.gather(1, target.unsqueeze(1))


def _sum_by_class(target: Tensor, values: Tensor, classes: int) -> Tensor:
    """For each class, the sum of the values at its positions."""
    index, values = target.flatten(), values.flatten()
    whole = index.numel() // ROW * ROW
    rows = values.new_zeros(whole // ROW, classes)
    rows.scatter_add_(1, index[:whole].view(-1, ROW), values[:whole].view(-1, ROW))
    rest = values.new_zeros(classes).scatter_add_(0, index[whole:], values[whole:])
    return (rows.sum(dim=0, dtype=torch.float64) + rest).to(values.dtype)


def _by_one_hot(input: Tensor, target: Tensor) -> tuple[Tensor, Tensor, Tensor]:  # noqa: A002  # torch's word
    """The sums as they are defined."""
    exact = input.double() if input.dtype == torch.float64 else input.float()
    probabilities = exact.softmax(dim=1)
    one_hot = _one_hot(target, probabilities)
    others = [0, *range(2, input.ndim)]
    return (probabilities * one_hot).sum(dim=others), probabilities.sum(dim=others), one_hot.sum(dim=others)


def _one_hot(target: Tensor, probabilities: Tensor) -> Tensor:
    """The one-hot target in the type of the probabilities: torch's own is int64, twice as large, and converted then."""
    if target.dtype == torch.int64 and not torch.compiler.is_compiling():
        try:
            return probabilities.new_zeros(()).expand_as(probabilities).scatter(1, target.unsqueeze(1), 1)
        except (IndexError, RuntimeError):
            pass  # torch's own says which rule a target breaks
    return functional.one_hot(target, probabilities.shape[1]).to(probabilities.dtype).movedim(-1, 1)


class _ClassSums(torch.autograd.Function):
    """The three sums of logits `(N, C, L)` and indices `(N, L)`; the probabilities, and those of the targets.

    The backward pass writes the gradient over the probabilities, which nothing else holds. Another one through the same
    graph, and one whose gradient is to have gradients, starts from the logits.
    """

    @staticmethod
    def forward(logits: Tensor, target: Tensor) -> tuple[Tensor, ...]:
        """Computes the sums."""
        probabilities, of_targets = _softmax_and_of_targets(logits, target)
        predicted = probabilities.sum(dim=(0, 2))
        one = torch.ones((), dtype=predicted.dtype).expand_as(of_targets)
        intersection, actual = (_sum_by_class(target, values, len(predicted)) for values in (of_targets, one))
        return intersection, predicted, actual, probabilities, of_targets

    @staticmethod
    def setup_context(ctx: Any, inputs: tuple[Tensor, Tensor], output: tuple[Tensor, ...]) -> None:
        """Keeps what the backward pass needs."""
        ctx.mark_non_differentiable(*output[2:])
        ctx.set_materialize_grads(False)
        ctx.save_for_backward(*inputs)
        ctx.kept = output[3:] if ctx.needs_input_grad[0] else None

    @staticmethod
    def backward(ctx: Any, *grads: Tensor | None) -> tuple[Tensor | None, None]:
        """The gradient of the logits."""
        given = next((grad for grad in grads[:2] if grad is not None), None)
        if given is None:
            return None, None
        at_target, everywhere = (torch.zeros_like(given) if grad is None else grad for grad in grads[:2])
        logits, target = ctx.saved_tensors
        if not torch.is_grad_enabled():
            kept, ctx.kept = ctx.kept, None
            probabilities, of_targets = kept or _softmax_and_of_targets(logits, target)
            try:
                gradient = _gradient_in_place(probabilities, of_targets, target, at_target, everywhere)
                return gradient.to(logits.dtype), None
            except RuntimeError:  # of vmap, by which `is_grads_batched` asks for several gradients at once
                pass
        return _gradient(_softmax(logits), target, at_target, everywhere).to(logits.dtype), None


def _gradient(probabilities: Tensor, target: Tensor, at_target: Tensor, everywhere: Tensor) -> Tensor:
    """The gradient of the logits, from those of the sums of `p * t` (at the target's class) and of `p` (everywhere)."""
    index, weight = target.unsqueeze(1), at_target[target].unsqueeze(1)
    upstream = everywhere.unsqueeze(1).expand_as(probabilities).scatter_add(1, index, weight)
    return probabilities * (upstream - (probabilities * upstream).sum(dim=1, keepdim=True))


def _gradient_in_place(
    probabilities: Tensor, of_targets: Tensor, target: Tensor, at_target: Tensor, everywhere: Tensor
) -> Tensor:
    """The same, written over the probabilities; those of the targets are used up, too."""
    samples, classes, positions = probabilities.shape
    column, row = everywhere.unsqueeze(1), everywhere.view(1, 1, -1)
    # Two threads that meet after each operation gain less than blocks that stay in the cache of one, and lose much on a
    # busy machine. More threads get large blocks to share.
    outer, inner_size = SERIAL, SERIAL // classes
    if torch.get_num_threads() > 2:
        outer = inner_size = max(SERIAL, samples * positions // 8)
    for block, own, index in _blocks(outer, probabilities, of_targets, target.unsqueeze(1)):
        own.mul_(at_target.index_select(0, index.flatten()).view_as(index))
        for part, its_own in _blocks(inner_size, block, own):
            inner = torch.empty_like(its_own)
            torch.baddbmm(its_own, row.expand(len(part), -1, -1), part, out=inner)  # out= is exempt from autocast
            part.mul_(column - inner)
        block.scatter_add_(1, index, own)
    return probabilities


def _blocks(size: int, *tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Cuts tensors `(N, *, L)` into blocks of so many positions, some samples or a part of one."""
    positions = tensors[0].shape[2]
    for parts in zip(*(tensor.split(max(1, size // positions)) for tensor in tensors), strict=True):
        yield from zip(*(part.split(max(1, size), 2) for part in parts), strict=True)
