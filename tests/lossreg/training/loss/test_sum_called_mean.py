"""A loss that is called a mean and returns a sum, without a declaration: its values show it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

SMALL: dict[str, Any] = {"model": "mlp", "limit_train": 64, "limit_test": 8, "epochs": 1}
SAID = "has reduction='mean', but its value for the first batch is the sum of its values for the parts of it"


class Summing(nn.CrossEntropyLoss):
    """Adds up what its class averages."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # the name that torch has for it
        """The sum over the batch."""
        return functional.cross_entropy(input, target, reduction="sum")


class Coupled(nn.CrossEntropyLoss):
    """Neither a sum nor a mean over samples."""

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # see above
        """The mean times that of all squares."""
        return functional.cross_entropy(input, target) * (1 + 1000 * input.square().mean())


def test_a_sum_is_trained_as_one(run: Run) -> None:
    """A warning says so, and accumulated batches add up to the step of the whole batch."""
    assert any(SAID in warning for warning in lossreg.plan(loss=Summing(), **SMALL).warnings)
    trained = []
    for cut in ({"batch_size": 64}, {"batch_size": 16, "accumulate": 4}):
        result = run(loss=Summing(), optimizer="sgd(lr=0.001)", **{**SMALL, **cut})
        trained.append((result.final["train_loss"], [one.detach().clone() for one in result.model.parameters()]))
    (loss, whole), (cut_loss, parts) = trained
    assert cut_loss == pytest.approx(loss, rel=1e-5)
    for one, other in zip(whole, parts, strict=True):
        torch.testing.assert_close(one, other, atol=1e-6, rtol=1e-5)


def test_the_loss_of_a_sum_does_not_depend_on_the_size_of_batches(run: Run) -> None:
    """What is shown is the share of one sample, which is the mean that torch gives."""
    result = run(loss=Summing(), **{**SMALL, "limit_test": 50, "batch_size": 8})
    test: Any = lossreg.datasets.build("digits").test
    images, digits = (one[:50] for one in test)
    with torch.no_grad():
        expected = functional.cross_entropy(result.model.eval()(images), digits)
    assert result.final["test_loss"] == pytest.approx(float(expected), rel=1e-4)


@for_each("loss", [nn.CrossEntropyLoss(), nn.NLLLoss(), Coupled(), nn.MultiMarginLoss()])
def test_what_is_no_sum_is_not_taken_for_one(loss: nn.Module) -> None:
    """Losses of torch, and a subclass that is neither, are warned of nothing."""
    assert not any("reduction='mean'" in warning for warning in lossreg.plan(loss=loss, **SMALL).warnings)
