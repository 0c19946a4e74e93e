"""The built-in losses against formulas and against other libraries."""

from __future__ import annotations

import warnings
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import lossreg
from tests.table import for_each

Array = np.ndarray[Any, np.dtype[np.float64]]

A, B = torch.tensor([1.0, 2.0, 3.0]), torch.tensor([1.0, 2.0, 5.0])


@for_each(("reduction", "expected"), [("mean", 2 / 3), ("sum", 2.0), ("none", [0.0, 0.0, 2.0])])
def test_l1_of_the_tutorial(reduction: str, expected: float | list[float]) -> None:
    """L1 of [1, 2, 3] and [1, 2, 5] is 2/3 as a mean, 2 as a sum, and [0, 0, 2] without reduction."""
    loss = lossreg.losses.build("l1", reduction=reduction)
    torch.testing.assert_close(loss(A, B), torch.tensor(expected))


def test_mse_of_the_tutorial() -> None:
    """The mean squared error of [1, 2, 3] and [1, 2, 5] is 4/3."""
    assert lossreg.losses.build("mse")(A, B).item() == pytest.approx(4 / 3)


def test_cross_entropy_of_the_tutorial() -> None:
    """The cross-entropy of the logits [0.5, 0.36, 0.23] with target 0 is 0.9680."""
    value = lossreg.losses.build("cross_entropy")(torch.tensor([[0.5, 0.36, 0.23]]), torch.tensor([0])).item()
    logits = np.array([0.5, 0.36, 0.23])
    assert value == pytest.approx(np.log(np.exp(logits).sum()) - logits[0], rel=1e-6)
    assert round(value, 4) == 0.9680


def dice_in_numpy(logits: Tensor, target: Tensor, smooth: float) -> Array:
    """The loss of each class, written out in float64."""
    z = logits.detach().numpy().astype(np.float64)
    exponent = np.exp(z - z.max(axis=1, keepdims=True))
    p = exponent / exponent.sum(axis=1, keepdims=True)
    losses = []
    for c in range(z.shape[1]):
        t = (target.numpy() == c).astype(np.float64)
        losses.append(1 - (2 * (p[:, c] * t).sum() + smooth) / (p[:, c].sum() + t.sum() + smooth))
    return np.array(losses)


def batch(*shape: int, seed: int = 0) -> tuple[Tensor, Tensor]:
    """Random logits of a shape (N, C, *) and targets for them."""
    generator = torch.Generator().manual_seed(seed)
    logits = torch.randn(shape, generator=generator) * 3
    return logits, torch.randint(shape[1], (shape[0], *shape[2:]), generator=generator)


@for_each("shape", [(64, 10), (1, 2), (3, 4, 7), (2, 3, 5, 6), (2, 3, 4, 5, 6)])
@for_each("smooth", [1e-5, 1.0, 100.0])
@for_each("reduction", ["mean", "sum", "none"])
def test_dice_equals_its_formula(shape: tuple[int, ...], smooth: float, reduction: str) -> None:
    """Dice equals its formula in float64 for tables, sequences, images and volumes."""
    logits, target = batch(*shape)
    expected = dice_in_numpy(logits, target, smooth)
    reduced = {"mean": expected.mean(), "sum": expected.sum(), "none": expected}[reduction]
    value = lossreg.losses.build("dice", smooth=smooth, reduction=reduction)(logits, target)
    np.testing.assert_allclose(value.numpy(), reduced, rtol=2e-6, atol=1e-6)


def test_dice_of_a_class_that_is_absent_and_not_predicted_is_zero() -> None:
    """A class without target and without probability has loss 0, thanks to smooth."""
    logits = torch.tensor([[80.0, 80.0, -80.0]])
    losses = lossreg.losses.build("dice", reduction="none")(logits, torch.tensor([0]))
    assert losses[2].item() == 0


@for_each("shape", [(4, 3, 8, 8), (2, 5, 4, 4, 4)])
@for_each("smooth", [1e-5, 1.0])
def test_dice_equals_monai(shape: tuple[int, ...], smooth: float) -> None:
    """Dice equals MONAI's DiceLoss over the batch, with softmax and one-hot targets, on images and volumes."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        from monai.losses.dice import DiceLoss

    logits, target = batch(*shape)
    monai = DiceLoss(batch=True, softmax=True, to_onehot_y=True, smooth_nr=smooth, smooth_dr=smooth)
    value = lossreg.losses.build("dice", smooth=smooth)(logits, target)
    torch.testing.assert_close(value, monai(logits, target.unsqueeze(1)))


def test_dice_equals_segmentation_models_pytorch() -> None:
    """Dice equals segmentation-models-pytorch's DiceLoss at half the smoothing, where every class occurs."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        from segmentation_models_pytorch.losses import DiceLoss

    logits, target = batch(4, 3, 8, 8)
    assert target.unique().tolist() == [0, 1, 2]
    # smp has (tp + smooth) / (tp + fp/2 + fn/2 + smooth), which is ours divided by 2; eps only guards against zero.
    theirs = DiceLoss("multiclass", smooth=0.5, eps=0.0)(logits, target)
    torch.testing.assert_close(lossreg.losses.build("dice", smooth=1.0)(logits, target), theirs)


@for_each("reduction", ["mean", "sum", "none"])
def test_gradients_of_dice_are_those_of_finite_differences(reduction: str) -> None:
    """Dice passes gradcheck in float64."""
    logits, target = batch(3, 4, 2, 2)
    loss = lossreg.losses.build("dice", reduction=reduction)
    assert torch.autograd.gradcheck(lambda z: loss(z, target), logits.double().requires_grad_())


@for_each("dtype", [torch.float16, torch.bfloat16])
def test_dice_sums_in_float32(dtype: torch.dtype) -> None:
    """Over more samples than half precision can count, Dice of half-precision logits is that of float32."""
    logits, target = batch(20_000, 2)
    rounded = logits.to(dtype)
    loss = lossreg.losses.build("dice")
    assert loss(rounded, target).dtype == torch.float32
    torch.testing.assert_close(loss(rounded, target), loss(rounded.float(), target), rtol=1e-5, atol=1e-6)


@for_each("smooth", [0, -1.0])
def test_dice_refuses_a_smooth_that_is_not_positive(smooth: float) -> None:
    """The smoothing of Dice is greater than 0."""
    with pytest.raises(ValueError, match="smooth is greater than 0"):
        lossreg.losses.build("dice", smooth=smooth)


def test_dice_refuses_shapes_that_do_not_fit() -> None:
    """Targets that are not (N, *) for logits (N, C, *) are an error, not a broadcast."""
    with pytest.raises(ValueError, match=r"\(2, 3, 4\) and \(2, 5\)"):
        lossreg.losses.build("dice")(torch.zeros(2, 3, 4), torch.zeros(2, 5, dtype=torch.long))
