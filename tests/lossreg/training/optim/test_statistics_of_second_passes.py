"""Running statistics of batch normalisation where a step computes gradients in other places than at the weights."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import HandLoop, Run, Samples

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 128, "limit_test": 8, "batch_size": 32}
RHO = 0.5


def normalised() -> nn.Sequential:
    """A model with a mean that moves, one of all batches, and one that stays in evaluation mode."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Flatten(), nn.Linear(784, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 8),
        nn.BatchNorm1d(8, momentum=None), nn.BatchNorm1d(8), nn.Linear(8, 10),
    )  # fmt: skip
    model[6].eval()
    return model


class HandSAM:
    """SAM by hand, whose second pass goes by a momentum of 0, as the authors of common implementations do it."""

    def __init__(self, model: nn.Module) -> None:
        self.base = torch.optim.SGD(model.parameters(), lr=0.05, momentum=0.9)
        self.param_groups = self.base.param_groups
        self.layers = [one for one in model.modules() if isinstance(one, nn.BatchNorm1d)]

    def zero_grad(self) -> None:
        """Of what is wrapped."""
        self.base.zero_grad()

    def step(self, closure: Callable[[], Tensor]) -> Any:
        """Up, and down from where it was."""
        loss = closure()
        held = self.param_groups[0]["params"]
        with torch.no_grad():
            norm = torch.cat([one.grad.flatten() for one in held]).norm()
            before = [one.clone() for one in held]
            for one in held:
                one.add_(RHO / norm * one.grad)
        kept = [(layer.momentum, layer.num_batches_tracked.clone()) for layer in self.layers]  # type: ignore[union-attr]  # they track
        for layer in self.layers:
            layer.momentum = 0.0
        closure()
        for layer, (momentum, number) in zip(self.layers, kept, strict=True):
            layer.momentum, layer.num_batches_tracked = momentum, number
        with torch.no_grad():
            for one, old in zip(held, before, strict=True):
                one.copy_(old)
        self.base.step()
        return loss


def hand_trained(hand_loop: HandLoop, digits: Samples) -> nn.Module:
    """The model behind the steps by hand."""
    model = normalised()
    sam: Any = HandSAM(model)
    hand_loop(model, functional.cross_entropy, sam, (digits[0][:128], digits[1][:128]), batch_size=32)
    return model


@pytest.mark.parametrize("optimizer", ["sam(sgd(lr=0.05), rho=0.5)", "lookahead(sam(sgd(lr=0.05), rho=0.5), k=999)"])
def test_the_second_pass_of_sam_leaves_statistics_alone(
    run: Run, hand_loop: HandLoop, digits: Samples, optimizer: str
) -> None:
    """Weights and statistics are those of a loop by hand with momentum 0 in the second pass."""
    mine: Any = run(model=normalised(), optimizer=optimizer, **SMALL).model
    theirs = hand_trained(hand_loop, digits)
    for (name, one), other in zip(mine.state_dict().items(), theirs.state_dict().values(), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=1e-4, msg=name)
    assert mine[2].num_batches_tracked == 4
    assert mine[6].num_batches_tracked == 0


def test_a_closure_behind_the_gradients_leaves_statistics_alone(run: Run) -> None:
    """So it is where the first gradients are there before the step, and the closure is the second pass."""
    registries = lossreg.load_registries()

    @registries.optimizers.register("ascending", needs="gradients", closure=True, modes=False, create_graph=False)
    class Ascending(torch.optim.SGD):
        def __init__(self, params: Any) -> None:
            super().__init__(params, lr=0.05)

        def step(self, closure: Any = None) -> Any:
            with torch.no_grad():
                for one in self.param_groups[0]["params"]:
                    one.add_(1.0)
            with torch.enable_grad():
                loss = closure()
            with torch.no_grad():
                for one in self.param_groups[0]["params"]:
                    one.sub_(1.0)
            super().step()
            return loss

    model: Any = run(model=normalised(), optimizer="ascending", registries=registries, **SMALL).model
    assert model[2].num_batches_tracked == 4
    assert all(one.track_running_stats for one in model.modules() if isinstance(one, nn.BatchNorm1d))


def test_lbfgs_sees_statistics_in_each_pass(run: Run) -> None:
    """Its passes are at weights on its way, whose statistics count."""
    model: Any = run(model=normalised(), optimizer="lbfgs(max_iter=3, lr=0.01)", **SMALL).model
    assert model[2].num_batches_tracked > 4
