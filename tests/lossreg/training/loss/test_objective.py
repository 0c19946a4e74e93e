"""Model and loss as one: the weights of a loss are trained, too."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Samples, Weights


class Tempered(nn.Module):
    """Cross-entropy at a temperature that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss."""
        return functional.cross_entropy(output / self.temperature, target)


def test_the_weights_of_a_loss_are_trained_and_kept(
    run: Run, weights: Weights, hand_loop: HandLoop, digits: Samples, tutorial_model: Callable[[], nn.Module]
) -> None:
    """A loss's own parameters move as in a plain loop, are in the result, and lie in loss.safetensors."""
    loss = Tempered()
    result = run(loss=loss, optimizer="sgd(lr=0.1, momentum=0.0)", epochs=1, limit_train=128, limit_test=8)
    torch.manual_seed(0)
    model, hand = tutorial_model(), Tempered()
    optimizer = torch.optim.SGD([*model.parameters(), *hand.parameters()], lr=0.1, fused=True)
    hand_loop(model, hand, optimizer, (digits[0][:128], digits[1][:128]))
    assert result.loss is loss
    assert weights(loss).equal(weights(hand))
    assert loss.temperature.item() != 1
    kept = load_file(result.directory / "loss.safetensors")
    assert kept["temperature"].item() == loss.temperature.item()


def test_a_loss_without_weights_leaves_no_file(run: Run) -> None:
    """loss.safetensors exists for a loss that was trained, and for no other."""
    assert not (run(model="mlp", epochs=1, limit_train=64, limit_test=8).directory / "loss.safetensors").exists()
