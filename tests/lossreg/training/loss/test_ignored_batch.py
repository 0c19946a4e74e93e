"""A loss that is not finite because all targets of a batch are ignored: the message says so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

IGNORED = 255


class Coupled(nn.Module):
    """A mean over targets that count, times something of the whole batch: not a weighted mean that can be guarded."""

    ignore_index = IGNORED

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """Not a number where nothing counts."""
        return functional.cross_entropy(output, target, ignore_index=IGNORED) * (1 + 1000 * output.square().mean())


def data(targets: Tensor) -> lossreg.Data:
    """Images with these targets; tested on such as count."""
    images = torch.rand(len(targets), 1, 28, 28, generator=torch.Generator().manual_seed(0))
    return lossreg.Data((images, targets), (images[:4], torch.arange(4)), "classification", (1, 28, 28), num_classes=10)


def test_a_first_batch_that_is_ignored_is_told(run: Run) -> None:
    """Before the run the message names ignore_index, its value and the way out."""
    targets = torch.full((16,), IGNORED)
    targets[12:] = 1
    with pytest.raises(lossreg.ContractError) as caught:
        run(data=data(targets), model="mlp", loss=Coupled(), batch_size=4, epochs=1)
    assert "the loss of the first batch is nan, before any step: all targets of that batch are ignored" in str(
        caught.value
    )
    assert "(ignore_index=255 of the loss), so its mean divides 0 by 0" in str(caught.value)


def test_a_later_batch_that_is_ignored_is_told(run: Run) -> None:
    """In the run the message names ignore_index beside the learning rate."""
    targets = torch.full((64,), IGNORED)
    targets[0] = 1
    with pytest.raises(lossreg.RunFailedError) as caught:
        run(data=data(targets), model="mlp", loss=Coupled(), batch_size=4, epochs=1)
    assert "a batch whose targets are all ignored (ignore_index=255 of the loss) has no finite loss" in str(
        caught.value
    )


@pytest.mark.parametrize("loss", [nn.NLLLoss(), nn.CrossEntropyLoss(ignore_index=IGNORED), "cross_entropy"])
@pytest.mark.parametrize("batch_size", [1, 4, 5, 8])
def test_a_batch_that_is_ignored_is_left_out_by_losses_of_torch(run: Run, loss: Any, batch_size: int) -> None:
    """Losses of torch train, by batches of any size: such a batch has no part in the step and in the mean."""
    ignored = getattr(loss, "ignore_index", -100)
    targets = torch.full((64,), ignored)
    targets[:8] = torch.arange(8)
    result = run(data=data(targets), model="mlp", loss=loss, batch_size=batch_size, epochs=1)
    assert torch.isfinite(torch.tensor(result.final["train_loss"]))
