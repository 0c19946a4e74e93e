"""`parts.check` goes by the targets of the batch: what they cannot be is said, with losses that take such targets."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch import Tensor

import lossreg
from tests.table import for_each

NUMBERS = torch.linspace(-1.0, 1.0, 6)
BITS = torch.tensor([[0.0, 1.0, 1.0]] * 6)


def squares(output: Tensor, target: Tensor) -> Tensor:
    """A loss of one's own, which declares nothing."""
    return (output - target).square().mean()


def check(loss: Any, targets: Any, outputs: int = 3, **said: Any) -> None:
    """Sends six samples through a linear model."""
    lossreg.parts(loss=loss, **said).check(torch.nn.Linear(4, outputs), (torch.ones(6, 4), targets))


@for_each(
    ("loss", "targets", "said", "wanted"),
    [
        (
            "cross_entropy",
            NUMBERS,
            {},
            r"the loss takes class indices \(torch.int64\), and those of the batch are torch.f",
        ),
        ("dice", NUMBERS[:, None], {}, r"are torch\.float32 \(6, 1\)\. Losses that fit: [^()]* \(task='regression'\)$"),
        ("cross_entropy", BITS, {}, r"multilabel'\); .*mse.* \(task='regression'\)$"),
        ("cross_entropy", torch.ones(6), {}, r"targets.long\(\) makes class indices of them\. Losses that fit"),
        ("mse", NUMBERS, {"task": "classification"}, r"the targets of a classification are class .*mse.*'regression'"),
    ],
)
def test_targets_that_a_loss_does_not_take(loss: str, targets: Tensor, said: dict[str, Any], wanted: str) -> None:
    """No loss is proposed that would not take them either."""
    with pytest.raises(lossreg.ContractError, match=wanted) as caught:
        check(loss, targets, **said)
    proposed = str(caught.value).partition("Losses that fit:")[2]
    assert said.get("task") == "multilabel" or not {"cross_entropy", "dice", "nll"} & {
        *proposed.replace(",", "").split()
    }


def test_the_proposed_losses_fit() -> None:
    """Each of them, with its task, passes with the batch of which the message spoke."""
    with pytest.raises(lossreg.ContractError) as caught:
        check("cross_entropy", BITS)
    sentence = str(caught.value).partition("Losses that fit: ")[2]
    tasks = 0
    for part in sentence.split("; "):
        names, _, task = part.partition(" (task=")
        for name in names.split(", "):
            check(name, BITS, task=task.strip("')"))
        tasks += 1
    assert tasks == 2


def test_a_loss_that_declares_nothing_takes_numbers() -> None:
    """A regression with a function of one's own needs no task; the shapes have to be one, as in a run."""
    check(squares, NUMBERS[:, None], outputs=1)
    check(squares, torch.linspace(0, 1, 18).reshape(6, 3))
    with pytest.raises(lossreg.ContractError, match=r"they must be of one shape; targets.unsqueeze\(-1\)"):
        check(squares, NUMBERS, outputs=1)


def test_integers_that_a_loss_takes_itself() -> None:
    """Torch's cross-entropy takes bytes as class indices."""
    check("cross_entropy", torch.ones(6, dtype=torch.uint8))
    check("cross_entropy", torch.ones(6, dtype=torch.int64))


def test_a_batch_has_no_name() -> None:
    """It is not called a data set, whatever is wrong with it."""
    for batch in (3, torch.ones(5), torch.full((6,), 9)):
        with pytest.raises(lossreg.ContractError, match=r"^model Linear, loss dice and the batch do not fit: "):
            check("dice", batch)
