"""Dice of tables and small images: the one-hot target has the type of the probabilities."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional
from torch.utils._python_dispatch import TorchDispatchMode

from lossreg_builtin.dice import DiceLoss
from tests.table import for_each


class Made(TorchDispatchMode):
    """Collects the tensors that operations make."""

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # torch's
        self.tensors: list[Tensor] = []

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        """Calls the operation."""
        result = func(*args, **(kwargs or {}))
        self.tensors += [one for one in torch.utils._pytree.tree_leaves(result) if isinstance(one, Tensor)]
        return result


def batch(*shape: int) -> tuple[Tensor, Tensor]:
    """Random logits with a gradient, and targets."""
    generator = torch.Generator().manual_seed(0)
    logits = torch.randn(shape, generator=generator)
    return logits.requires_grad_(), torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


@for_each("shape", [(64, 10), (16, 3), (64, 1000), (4, 3, 16, 16)])
def test_nothing_as_large_as_the_logits_is_int64(shape: tuple[int, ...]) -> None:
    """Beside the logits there are tensors of float32 only: a one-hot target of int64 is twice as large."""
    logits, target = batch(*shape)
    with Made() as made:
        DiceLoss()(logits, target).backward()
    assert {one.dtype for one in made.tensors if one.numel() >= logits.numel()} == {torch.float32}


def test_one_target_for_each_of_several_batches() -> None:
    """With vmap over targets, and the same logits for all, each value is that of its target alone."""
    logits, _ = batch(16, 3)
    targets = torch.stack([batch(16, 3)[1].roll(shift) for shift in range(3)])
    singles = torch.stack([DiceLoss()(logits, target) for target in targets])
    torch.testing.assert_close(torch.func.vmap(DiceLoss(), in_dims=(None, 0))(logits, targets), singles)


def test_the_value_is_the_formula_s() -> None:
    """In float64: one minus 2 sum(p t) / (sum p + sum t), over the classes' mean, smooth in both."""
    logits, target = batch(64, 10)
    exact = logits.detach().double().requires_grad_()
    p, t = functional.softmax(exact, 1), functional.one_hot(target, 10).double()
    expected = (1 - (2 * (p * t).sum(0) + 1e-5) / (p.sum(0) + t.sum(0) + 1e-5)).mean()
    value = DiceLoss()(exact, target)
    torch.testing.assert_close(value, expected, rtol=1e-14, atol=0)
    derived = [torch.autograd.grad(one, exact, retain_graph=True)[0] for one in (value, expected)]
    torch.testing.assert_close(*derived, rtol=1e-12, atol=1e-18)
