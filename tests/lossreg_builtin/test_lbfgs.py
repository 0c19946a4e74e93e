"""LBFGS beside torch's, which cannot step any more once it has been copied."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from tests.table import for_each


def steps(model: nn.Module, optimizer: torch.optim.Optimizer, count: int) -> list[Tensor]:
    """The weights behind some steps on data of their own."""
    inputs = torch.randn(8, 3, generator=torch.Generator().manual_seed(1))

    def closure() -> Tensor:
        optimizer.zero_grad()
        loss = (model(inputs) - inputs.sum(1, keepdim=True).sin()).square().mean()
        loss.backward()
        return loss  # type: ignore[no-any-return]  # of a module

    for _ in range(count):
        optimizer.step(closure)  # type: ignore[arg-type]  # torch annotates it as one of a float
    return [one.detach().clone() for one in model.parameters()]


def saved(both: Any) -> Any:
    """Model and optimizer, anew, with what their state_dicts hold."""
    model, optimizer = both
    other = nn.Linear(3, 1)
    other.load_state_dict(model.state_dict())
    new = lossreg.parts(optimizer="lbfgs(lr=0.1, max_iter=3)").optimizer(other)
    new.load_state_dict(copy.deepcopy(optimizer.state_dict()))  # torch would share the tensors of the state
    return other, new


def pickled(both: Any) -> Any:
    """Model and optimizer by way of a file."""
    return pickle.loads(pickle.dumps(both))  # noqa: S301  # made here


@for_each("copied", [copy.deepcopy, pickled, saved])
def test_a_copy_goes_on_as_torchs_own_without_one(copied: Callable[[Any], Any]) -> None:
    """Two steps, and two of a copy, are four of torch's to the bit; the one that was copied goes on beside it."""
    torch.manual_seed(0)
    model = nn.Linear(3, 1)
    hand = copy.deepcopy(model)
    optimizer = lossreg.parts(optimizer="lbfgs(lr=0.1, max_iter=3)").optimizer(model)
    steps(model, optimizer, 2)
    other, copy_of_it = copied((model, optimizer))
    found = steps(other, copy_of_it, 2)
    expected = steps(hand, torch.optim.LBFGS(hand.parameters(), lr=0.1, max_iter=3), 4)
    for weights in (found, steps(model, optimizer, 2)):
        assert all(torch.equal(one, two) for one, two in zip(weights, expected, strict=True))


def test_no_parameters_are_added_that_it_would_not_train() -> None:
    """Torch's own takes them, and leaves them as they are."""
    optimizer = lossreg.optimizers.build("lbfgs", nn.Linear(2, 1).parameters())
    with pytest.raises(lossreg.ConfigError, match="lbfgs trains its parameters together, so that none can be added"):
        optimizer.add_param_group({"params": [nn.Parameter(torch.ones(2))]})
    assert len(optimizer.param_groups) == 1
