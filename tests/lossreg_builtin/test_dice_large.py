"""Dice of images and volumes, which needs no one-hot target: values, gradients, memory, and who may call it."""

from __future__ import annotations

import copy
import warnings
from collections.abc import Callable

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from lossreg_builtin.class_sums import SERIAL, class_sums
from lossreg_builtin.dice import DiceLoss
from tests.table import for_each

SHAPES = [
    (2, 4, 96, 96),  # blocks within a sample
    (300, 5, 3, 11),  # several samples in a block
    (40_000, 3, 1),
    (2, 14, 16, 16, 16),
    (1, 1, 200, 200),
    (2, 3, 8191),
]

TORCH_WARNS = pytest.mark.filterwarnings("ignore:`torch.jit.script` is deprecated")  # torch itself, in forward mode


def batch(*shape: int, dtype: torch.dtype = torch.float32) -> tuple[Tensor, Tensor]:
    """Random logits of a shape (N, C, *), large enough to go without one-hot, and targets; one class is left out."""
    generator = torch.Generator().manual_seed(len(shape))
    logits = torch.randn(shape, generator=generator, dtype=torch.float64) * 3
    assert logits.numel() >= SERIAL
    classes = max(1, shape[1] - 1)
    return logits.to(dtype), torch.randint(classes, (shape[0], *shape[2:]), generator=generator)


def formula(logits: Tensor, target: Tensor, smooth: float = 1e-5) -> Tensor:
    """The losses of the classes, written out in float64."""
    p = logits.double().softmax(1)
    t = functional.one_hot(target, logits.shape[1]).movedim(-1, 1).double()
    over = [0, *range(2, logits.ndim)]
    return 1 - (2 * (p * t).sum(over) + smooth) / (p.sum(over) + t.sum(over) + smooth)


def gradient(loss: Callable[[Tensor, Tensor], Tensor], logits: Tensor, target: Tensor) -> Tensor:
    """The gradient of the sum of the losses, each class weighted by another number."""
    logits = logits.detach().requires_grad_()
    losses = loss(logits, target)
    weights = torch.linspace(-1, 2, losses.numel(), dtype=losses.dtype).view_as(losses)
    return torch.autograd.grad((losses * weights).sum(), logits)[0]


@for_each("shape", SHAPES)
@for_each("smooth", [1e-5, 10.0])
def test_values_and_gradients_are_those_of_the_formula(shape: tuple[int, ...], smooth: float) -> None:
    """Each class's loss, and its gradient, equals the formula with a one-hot target in float64."""
    logits, target = batch(*shape)
    loss = DiceLoss(smooth=smooth, reduction="none")
    torch.testing.assert_close(loss(logits, target).double(), formula(logits, target, smooth), rtol=2e-6, atol=1e-6)
    expected = gradient(lambda z, t: formula(z, t, smooth), logits.double(), target)
    actual = gradient(loss, logits, target).double()
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())


def test_there_may_be_more_classes_than_a_block_has_elements() -> None:
    """With 40,000 classes, in float64, where softmax is exact, value and gradient are those of the formula."""
    logits, target = batch(1, 40_000, 3, dtype=torch.float64)
    loss = DiceLoss(reduction="none")
    torch.testing.assert_close(loss(logits, target), formula(logits, target))
    torch.testing.assert_close(gradient(loss, logits, target), gradient(formula, logits, target))


@for_each("reduction", ["mean", "sum"])
@for_each("shape", [(2, 4, 96, 96), (2, 14, 16, 16, 16)])
def test_values_and_gradients_are_those_of_monai(shape: tuple[int, ...], reduction: str) -> None:
    """With softmax, one-hot targets and sums over the batch, MONAI's DiceLoss has the same value and gradient."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its own dependencies
        from monai.losses.dice import DiceLoss as Monai

    logits, target = batch(*shape)
    theirs = Monai(batch=True, softmax=True, to_onehot_y=True, smooth_nr=1e-5, smooth_dr=1e-5, reduction=reduction)
    ours = DiceLoss(reduction=reduction)  # type: ignore[arg-type]  # mypy sees a str
    torch.testing.assert_close(ours(logits, target), theirs(logits, target.unsqueeze(1)))
    expected = gradient(lambda z, t: theirs(z, t.unsqueeze(1)), logits, target)
    atol = 1e-6 * expected.abs().max().item()
    torch.testing.assert_close(gradient(ours, logits, target), expected, rtol=1e-4, atol=atol)


@for_each("reduction", ["mean", "sum", "none"])
def test_first_and_second_derivatives_are_those_of_finite_differences(reduction: str) -> None:
    """Dice passes gradcheck, the same gradient twice included, and gradgradcheck."""
    logits, target = batch(2, 3, 6000, dtype=torch.float64)
    loss = DiceLoss(smooth=1e3, reduction=reduction)  # type: ignore[arg-type]  # mypy sees a str
    logits.requires_grad_()

    def of_target(z: Tensor) -> Tensor:
        value: Tensor = loss(z, target)
        return value * 1e3  # so that the derivatives are not below the tolerance

    assert torch.autograd.gradcheck(of_target, logits, fast_mode=True)
    assert torch.autograd.gradgradcheck(of_target, logits, fast_mode=True)


def test_each_sum_has_its_own_gradient() -> None:
    """A loss may use one of the three sums alone; what is there has no gradient."""
    logits, target = batch(2, 4, 96, 96, dtype=torch.float64)
    p = functional.softmax(logits.requires_grad_(), 1)
    t = functional.one_hot(target, 4).movedim(-1, 1)
    weights = torch.arange(4.0, dtype=torch.float64)
    for number, by_definition in enumerate([p * t, p]):
        mine = torch.autograd.grad((class_sums(logits, target)[number] * weights).sum(), logits)[0]
        expected = torch.autograd.grad((by_definition.sum((0, 2, 3)) * weights).sum(), logits, retain_graph=True)[0]
        torch.testing.assert_close(mine, expected)
    assert not class_sums(logits, target)[2].requires_grad
    assert class_sums(logits, target)[2].tolist() == t.sum((0, 2, 3)).tolist()


def test_a_graph_that_is_kept_gives_the_same_gradient_again() -> None:
    """Three backward passes through one graph give the same gradient, bit for bit; the logits are unchanged."""
    logits, target = batch(2, 4, 96, 96)
    before = logits.clone()
    value = DiceLoss()(logits.requires_grad_(), target)
    first, second, third = (torch.autograd.grad(value, logits, retain_graph=True)[0].clone() for _ in range(3))
    assert torch.equal(first, second)
    assert torch.equal(first, third)
    assert torch.equal(logits, before)


def test_the_gradient_is_a_tensor_of_its_own() -> None:
    """Changing a gradient changes neither another one nor a later one."""
    logits, target = batch(2, 4, 96, 96)
    value = DiceLoss()(logits.requires_grad_(), target)
    (first,) = torch.autograd.grad(value, logits, retain_graph=True)
    kept = first.clone()
    first.zero_()
    assert torch.equal(torch.autograd.grad(value, logits)[0], kept)


@for_each("dtype", [torch.float16, torch.bfloat16])
def test_half_precision_is_summed_in_float32(dtype: torch.dtype) -> None:
    """Half-precision logits give the value of the same numbers in float32, and its gradient, rounded once."""
    logits, target = batch(2, 4, 96, 96, dtype=dtype)
    loss = DiceLoss()
    assert loss(logits, target).dtype == torch.float32
    assert torch.equal(loss(logits, target), loss(logits.float(), target))
    assert torch.equal(gradient(loss, logits, target), gradient(loss, logits.float(), target).to(dtype))


@for_each("dtype", [torch.float32, torch.bfloat16])
def test_autocast_changes_nothing(dtype: torch.dtype) -> None:
    """Under autocast, forward and backward, value and gradient are those without."""
    logits, target = batch(2, 4, 96, 96, dtype=dtype)
    loss = DiceLoss()
    with torch.autocast("cpu", torch.bfloat16):
        value, derived = loss(logits, target), gradient(loss, logits, target)
    assert torch.equal(value, loss(logits, target))
    assert torch.equal(derived, gradient(loss, logits, target))


@for_each(
    "lay_out",
    [
        lambda z: z.contiguous(memory_format=torch.channels_last),
        lambda z: z.transpose(2, 3).contiguous().transpose(2, 3),
        lambda z: torch.stack([z, z], dim=-1)[..., 0],
        lambda z: functional.pad(z, (3, 2))[..., 3:-2],
    ],
)
def test_the_layout_changes_nothing(lay_out: Callable[[Tensor], Tensor]) -> None:
    """channels_last and other strides, of logits and of targets, give the value and gradient of contiguous ones."""
    logits, target = batch(2, 4, 96, 96)
    strided = torch.stack([target, target], dim=-1)[..., 0]
    assert torch.equal(DiceLoss()(lay_out(logits), strided), DiceLoss()(logits, target))
    assert torch.equal(gradient(DiceLoss(), lay_out(logits), strided), gradient(DiceLoss(), logits, target))


def test_logits_without_gradient_are_fine() -> None:
    """Without requires_grad, under no_grad and under inference_mode, the value is the same and has no gradient."""
    logits, target = batch(2, 4, 96, 96)
    expected = DiceLoss()(logits.clone().requires_grad_(), target).detach()
    with torch.no_grad():
        quiet = DiceLoss()(logits.clone().requires_grad_(), target)
    with torch.inference_mode():
        inferred = DiceLoss()(logits, target)
    for value in (DiceLoss()(logits, target), quiet, inferred):
        assert not value.requires_grad
        assert torch.equal(value, expected)


@for_each("shape", [(0, 4, 96, 96), (2, 4, 0, 96), (2, 4, 0)])
def test_nothing_at_all_has_loss_zero(shape: tuple[int, ...]) -> None:
    """No samples or no positions: each class has loss 0 and the gradient is empty."""
    logits = torch.zeros(shape, requires_grad=True)
    losses = DiceLoss(reduction="none")(logits, torch.zeros((shape[0], *shape[2:]), dtype=torch.long))
    losses.sum().backward()
    assert losses.tolist() == [0, 0, 0, 0]
    assert logits.grad is not None
    assert logits.grad.shape == shape


def test_nan_is_passed_on() -> None:
    """One NaN among the logits makes value and gradient NaN."""
    logits, target = batch(2, 4, 96, 96)
    logits[1, 2, 3, 4] = torch.nan
    assert DiceLoss()(logits, target).isnan()
    assert gradient(DiceLoss(), logits, target).isnan().any()


@for_each("size", [4, 96])
@for_each(
    ("spoil", "message"),
    [
        (lambda y: y - 1, "Class values must be non-negative"),
        (lambda y: y + 2, "Class values must be smaller than num_classes"),
        (lambda y: y.int(), "only applicable to index tensor of type LongTensor"),
        (lambda y: y.float(), "only applicable to index tensor of type LongTensor"),
        (lambda y: y[:1], r"input is \(N, C, \*\) and target \(N, \*\), not"),
    ],
)
def test_wrong_targets_are_named_alike_for_every_size(
    size: int, spoil: Callable[[Tensor], Tensor], message: str
) -> None:
    """A target that is no class index ends in the same message for small and for large logits."""
    logits, target = torch.zeros(2, 4, size, size), torch.arange(2 * size * size).view(2, size, size) % 3
    target[0, 0, 0], target[0, 0, 1] = 0, 2
    with pytest.raises((RuntimeError, ValueError), match=message):
        DiceLoss()(logits, spoil(target))


@TORCH_WARNS
def test_torch_func_sees_through() -> None:
    """torch.func's grad, vmap, jvp and their combinations give what the formula gives."""
    logits, target = batch(2, 4, 96, 96, dtype=torch.float64)
    loss, direction = DiceLoss(), torch.ones_like(logits).cumsum(1)

    def by_formula(z: Tensor, t: Tensor) -> Tensor:
        return formula(z, t).mean()

    derived = torch.func.grad(by_formula)(logits, target)
    torch.testing.assert_close(torch.func.grad(loss)(logits, target), derived)
    singles = torch.stack([by_formula(z[None], t[None]) for z, t in zip(logits, target, strict=True)])
    torch.testing.assert_close(torch.func.vmap(loss)(logits[:, None], target[:, None]), singles)
    per_sample = torch.func.grad(lambda z: torch.func.vmap(loss)(z[:, None], target[:, None]).sum())(logits)
    expected = torch.stack(
        [torch.func.grad(by_formula)(z[None], t[None])[0] for z, t in zip(logits, target, strict=True)]
    )
    torch.testing.assert_close(per_sample, expected)
    value, tangent = torch.func.jvp(lambda z: loss(z, target), (logits,), (direction,))  # type: ignore[misc]  # no aux
    torch.testing.assert_close(value, by_formula(logits, target))
    torch.testing.assert_close(tangent, (derived * direction).sum())
    scaled = torch.func.grad(lambda factor: factor * loss(logits, target))(torch.tensor(2.0, dtype=torch.float64))
    torch.testing.assert_close(scaled, value)


@TORCH_WARNS
def test_forward_mode_gives_the_directional_derivative() -> None:
    """A dual number's tangent is the gradient times the direction."""
    logits, target = batch(2, 4, 96, 96, dtype=torch.float64)
    direction = torch.ones_like(logits).cumsum(1)
    with torch.autograd.forward_ad.dual_level():
        dual = torch.autograd.forward_ad.make_dual(logits, direction)
        tangent = torch.autograd.forward_ad.unpack_dual(DiceLoss()(dual, target)).tangent
    derived = torch.func.grad(lambda z: formula(z, target).mean())(logits)
    torch.testing.assert_close(tangent, (derived * direction).sum())


def test_several_gradients_at_once() -> None:
    """`is_grads_batched` gives the gradient of each class's loss, as one after another does."""
    logits, target = batch(2, 4, 96, 96)
    losses = DiceLoss(reduction="none")(logits.requires_grad_(), target)
    singles = [torch.autograd.grad(loss, logits, retain_graph=True)[0] for loss in losses]
    (together,) = torch.autograd.grad(losses, logits, torch.eye(4), is_grads_batched=True)
    torch.testing.assert_close(together, torch.stack(singles))


def test_a_whole_graph_can_be_compiled() -> None:
    """`torch.compile(fullgraph=True)` accepts the loss; value and gradient of what it traces are the same."""
    logits, target = batch(2, 4, 96, 96)
    compiled = torch.compile(copy.deepcopy(DiceLoss()), fullgraph=True, backend="aot_eager")
    torch.testing.assert_close(compiled(logits, target), DiceLoss()(logits, target))
    expected = gradient(DiceLoss(), logits, target)
    actual = gradient(compiled, logits, target)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())


@for_each("threads", [1, 2, 3])
def test_the_number_of_threads_changes_no_gradient(threads: int) -> None:
    """However many threads there are, hence however large the blocks, the gradient is the formula's."""
    logits, target = batch(2, 4, 96, 96)
    before = torch.get_num_threads()
    torch.set_num_threads(threads)
    try:
        actual = gradient(DiceLoss(), logits, target).double()
    finally:
        torch.set_num_threads(before)
    expected = gradient(lambda z, t: formula(z, t).mean(), logits.double(), target)
    torch.testing.assert_close(actual, expected, rtol=1e-4, atol=1e-6 * expected.abs().max().item())
