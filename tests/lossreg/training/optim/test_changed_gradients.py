"""Optimizers that change the gradients in their step, and call their base class's step with the closure."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import nn
from torch.nn import functional

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from lossreg import Data
    from tests.lossreg.training.conftest import Run

CALLS = {"steps": 0}


def centred(gradient: torch.Tensor) -> torch.Tensor:
    """Gradient centralization, Yong et al. 2020: the mean over the inputs of a unit is 0."""
    return gradient - gradient.mean(dim=1, keepdim=True) if gradient.ndim > 1 else gradient


class Changing(torch.optim.SGD):
    """Changes the gradients in place."""

    def change(self, gradient: torch.Tensor) -> torch.Tensor:
        """What a gradient becomes."""
        return centred(gradient)

    def step(self, closure: Any = None) -> Any:
        """A step."""
        for group in self.param_groups:
            for one in group["params"]:
                if one.grad is not None:
                    one.grad.copy_(self.change(one.grad))
        return super().step(closure)


class Counting(Changing):
    """Goes by a counter that all of its kind share."""

    def change(self, gradient: torch.Tensor) -> torch.Tensor:
        """What a gradient becomes."""
        CALLS["steps"] += 1
        return gradient / CALLS["steps"]


class Noisy(Changing):
    """Draws from a generator that no trial sets."""

    def change(self, gradient: torch.Tensor) -> torch.Tensor:
        """What a gradient becomes."""
        return gradient + random.random()  # noqa: S311  # no secret


class OptionalSam(torch.optim.SGD):
    """Climbs first where it has a closure; it steps without, too."""

    def step(self, closure: Any = None) -> Any:
        """A step."""
        if closure is None:
            return super().step()
        loss = closure()
        weights = [one for group in self.param_groups for one in group["params"] if one.grad is not None]
        old = [one.detach().clone() for one in weights]
        with torch.no_grad():
            for one in weights:
                one.add_(one.grad, alpha=0.05)
        closure()
        with torch.no_grad():
            for one, before in zip(weights, old, strict=True):
                one.copy_(before)
        super().step()
        return loss


@for_each("kind", [Changing, Counting, Noisy])
def test_a_change_of_the_gradients_is_no_reason_for_a_closure(table: Callable[..., Data], kind: Any) -> None:
    """A trial finds that the step takes none: a closure would compute the gradients anew, and undo the change."""
    plan = lossreg.plan(data=table(), model=nn.Linear(4, 3), optimizer=lambda p: kind(p, lr=0.1), device="cpu")
    needs = plan.facts["optimizer_needs"]
    assert (needs["closure"], needs["passes"]) == (False, 1)


def test_a_step_elsewhere_is_a_reason(table: Callable[..., Data]) -> None:
    """An optimizer that computes gradients at a second place is given a closure, though it steps without one, too."""
    plan = lossreg.plan(data=table(), model=nn.Linear(4, 3), optimizer=lambda p: OptionalSam(p, lr=0.1), device="cpu")
    needs = plan.facts["optimizer_needs"]
    assert (needs["closure"], needs["needs"], needs["passes"]) == (True, [], 2)


def test_what_changes_the_gradients_trains_as_in_its_own_loop(run: Run, table: Callable[..., Data]) -> None:
    """Two steps with all samples end with the weights that the formula gives."""
    data, ours = table(), nn.Linear(4, 3)
    assert isinstance(data.train, tuple)
    weight, bias = (one.detach().clone() for one in (ours.weight, ours.bias))
    run(data=data, model=ours, optimizer=lambda p: Changing(p, lr=0.1), epochs=2, batch_size=len(data.train[0]))
    for _ in range(2):
        weight, bias = (one.detach().requires_grad_() for one in (weight, bias))
        loss = functional.cross_entropy(functional.linear(data.train[0], weight, bias), data.train[1])
        slope, lift = torch.autograd.grad(loss, [weight, bias])
        weight, bias = weight - 0.1 * centred(slope), bias - 0.1 * lift
    torch.testing.assert_close(ours.weight, weight)
    torch.testing.assert_close(ours.bias, bias)
