"""`parts.loss` takes the targets that a run takes, and refuses what it would refuse; nothing is broadcast."""

from __future__ import annotations

import copy
import pickle
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from tests.table import for_each

OUTPUT = torch.randn(6, 3, generator=torch.Generator().manual_seed(1))
CLASSES = torch.tensor([0, 1, 2, 2, 1, 0])
BITS = torch.tensor([[1, 0, 1], [0, 0, 1], [1, 1, 1], [0, 0, 0], [1, 0, 0], [0, 1, 0]])
SMALL = (torch.int32, torch.int16, torch.uint8)


def loss_of(loss: Any, task: Any = None) -> Any:
    """The loss of parts."""
    return lossreg.parts(loss=loss, task=task).loss


@for_each("loss", ["cross_entropy", "dice", "multi_margin", "l1", "mse", "bce_with_logits", "soft_margin"])
def test_class_indices_of_any_integer_type(loss: str) -> None:
    """The value is that of int64, in `parts.loss` and in `parts.check`."""
    parts = lossreg.parts(loss=loss, task="classification")
    expected = parts.loss(OUTPUT, CLASSES)
    for dtype in SMALL:
        assert parts.loss(OUTPUT, CLASSES.to(dtype)) == expected
        parts.check(nn.Linear(4, 3), (torch.ones(6, 4), CLASSES.to(dtype)))


@for_each("loss", ["bce_with_logits", "soft_margin", "multilabel_margin", "l1", "mse"])
def test_zeros_and_ones_of_any_type(loss: str) -> None:
    """The value is that of float32, in `parts.loss` and in `parts.check`."""
    parts = lossreg.parts(loss=loss, task="multilabel")
    expected = parts.loss(OUTPUT, BITS.float())
    for dtype in (*SMALL, torch.int64, torch.bool, torch.float64):
        given = parts.loss(OUTPUT, BITS.to(dtype))
        assert (given.dtype, given) == (torch.float32, expected)
        parts.check(nn.Linear(4, 3), (torch.ones(6, 4), BITS.to(dtype)))


def test_the_values_are_those_of_torch() -> None:
    """Of bool targets, and of class indices in 8 bits."""
    given = loss_of("bce_with_logits", "multilabel")(OUTPUT, BITS > 0)
    torch.testing.assert_close(given, functional.binary_cross_entropy_with_logits(OUTPUT, BITS.float()))
    given = loss_of("cross_entropy")(OUTPUT, CLASSES.to(torch.uint8))
    torch.testing.assert_close(given, functional.cross_entropy(OUTPUT, CLASSES))


def test_targets_between_classes_stay_as_they_are() -> None:
    """Probabilities of cross entropy, and smoothed labels beside an output of 16 bits."""
    soft = BITS.float().softmax(1)
    torch.testing.assert_close(loss_of("cross_entropy")(OUTPUT, soft), functional.cross_entropy(OUTPUT, soft))
    smoothed, half = BITS * 0.9 + 0.05, OUTPUT.bfloat16()
    torch.testing.assert_close(loss_of("mse", "multilabel")(half, smoothed), (half - smoothed).square().mean())


@for_each(
    ("loss", "task", "output", "target", "said"),
    [
        ("mse", "regression", (16, 1), (16,), r"\(16, 1\) for targets \(16,\); they must be of one shape; targets.uns"),
        ("mse", "regression", (16,), (16, 1), r"one shape; unsqueeze\(-1\) gives the output that shape"),
        ("l1", "regression", (16, 2), (1, 2), "must be of one shape"),
        (nn.MSELoss(), "regression", (16, 1), (16,), "must be of one shape"),
        ("bce_with_logits", "multilabel", (4, 3), (4, 1), "must be of one shape"),
        ("bce_with_logits", "classification", (16,), (16,), r"\(N, classes, \*\) where the targets are \(N, \*\)"),
        ("bce_with_logits", "classification", (16, 1), (16,), "its classes are 0 to 0; a classification has an output"),
        ("mse", "classification", (16, 1), (16,), "for yes or no is task='multilabel'"),
        ("l1", "classification", (1, 3), (16,), r"\(N, classes, \*\) where"),
        ("cross_entropy", None, (16, 3), (15,), r"\(16, 3\) for targets \(15,\); for a classification"),
        ("dice", "segmentation", (2, 3, 4, 4), (2, 4, 5), "for a segmentation the output is"),
    ],
)
def test_shapes_that_do_not_fit(loss: Any, task: Any, output: Any, target: Any, said: str) -> None:
    """The words are those of the contract of a run."""
    numbers = torch.zeros(target) if task in ("regression", "multilabel") else torch.zeros(target, dtype=torch.int64)
    with pytest.raises(lossreg.ContractError, match=said) as caught:
        loss_of(loss, task)(torch.zeros(output), numbers)
    assert str(caught.value).startswith("loss ")
    assert "and the batch do not fit: the model gives" in str(caught.value)


@for_each("loss", ["cross_entropy(reduction='none')", nn.CrossEntropyLoss(reduction="none")])
def test_a_value_of_each_sample_is_refused(loss: Any) -> None:
    """By the name of the loss, with what gives a single number."""
    said = r"^loss .*cross_?entropy.*the loss gives shape \(6,\), but training needs a single number; reduction='mean'"
    with pytest.raises(lossreg.ContractError, match=f"(?i){said}"):
        loss_of(loss)(OUTPUT, CLASSES)


def test_nothing_is_asked_of_a_loss_of_ones_own_without_a_task() -> None:
    """What its output and target are is between the host and it."""

    def own(output: dict[str, Tensor], target: Tensor) -> Tensor:
        return (output["boxes"] - target).sum()

    assert loss_of(own)({"boxes": torch.ones(2, 4)}, torch.ones(4)) == 0
    assert loss_of(own, "regression")({"boxes": torch.ones(2, 4)}, torch.ones(4)) == 0
    assert loss_of(lambda output, target: (output - target).sum())(torch.ones(4, 1), torch.ones(4)) == 0


def test_a_copy_asks_the_same() -> None:
    """Whether it is copied, pickled or a sum in place of a mean."""
    loss = loss_of("mse", "regression")
    read = pickle.loads(pickle.dumps(loss))  # noqa: S301  # written in the same line
    for one in (copy.deepcopy(loss), read, loss.summed()):
        with pytest.raises(lossreg.ContractError, match="must be of one shape"):
            one(torch.zeros(4, 1), torch.zeros(4))


def test_what_fails_in_a_loss_says_which() -> None:
    """The error stays torch's own, with the text as a note."""
    loss = lossreg.parts(loss="cross_entropy(weight=[1, 2])").loss
    with pytest.raises(RuntimeError, match="weight tensor should be defined") as caught:
        loss(torch.randn(4, 3), torch.tensor([0, 1, 2, 0]))
    (note,) = caught.value.__notes__
    assert note.startswith("lossreg: raised by the loss cross_entropy(weight=[1, 2]); ")
    assert "parts.check(model, (inputs, targets)) says why" in note


@for_each(
    ("loss", "output", "target", "why"),
    [
        ("cross_entropy", CLASSES, OUTPUT, "which may be swapped: the model's output comes first"),
        ("cross_entropy", OUTPUT.long(), CLASSES, "the output is torch.int64; floating point is needed"),
        (
            "cross_entropy",
            OUTPUT,
            CLASSES.float(),
            "the loss takes class indices (torch.int64), and those of the batch are torch.float32 (6,). "
            "targets.long() makes class indices of them",
        ),
        ("dice", OUTPUT, CLASSES + 0.5, "class indices (torch.int64), and those of the batch are torch.float32 (6,)"),
        ("cross_entropy", OUTPUT, CLASSES + 1, "the batch has the class index 3, but the model's classes are 0 to 2"),
        ("dice", OUTPUT, CLASSES + 1, "the batch has the class index 3, but the model's classes are 0 to 2"),
        ("dice", OUTPUT, CLASSES - 100, "the batch has the class index -100, but the model's classes are 0 to 2"),
    ],
)
def test_why_a_loss_failed_is_in_the_note(loss: str, output: Tensor, target: Tensor, why: str) -> None:
    """The type and the message of the error are those of the loss itself."""
    with pytest.raises((RuntimeError, IndexError)) as caught:
        loss_of(loss, "classification")(output, target)
    (note,) = caught.value.__notes__
    assert note.startswith(f"lossreg: raised by the loss {loss}: ")
    assert why in note


def test_values_that_cannot_be_read_are_no_reason() -> None:
    """The error stays the loss's own where there is nothing to look at."""
    target = CLASSES.float().to("meta")
    with pytest.raises(RuntimeError) as caught:
        loss_of("cross_entropy")(OUTPUT.to("meta"), target)
    (note,) = caught.value.__notes__
    assert "parts.check" in note


@for_each("text", ["cross_entropy", "dice", "l1"])
def test_a_loss_is_compiled_as_one_graph(text: str) -> None:
    """All that is done around it, too."""
    loss = lossreg.parts(loss=text, task="classification").loss
    output, target = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    compiled = torch.compile(loss, backend="eager", fullgraph=True)
    assert compiled(output, target) == pytest.approx(loss(output, target).item())
