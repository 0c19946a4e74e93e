"""What the trial before a run says of the state of an optimizer, which torch's own reading confirms."""

from __future__ import annotations

import enum
import io
from collections import deque
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data


class Norm(enum.Enum):
    """A word that an option of a group may be."""

    SPECTRAL = 1


class Holding(torch.optim.SGD):
    """Has in its state and its groups what torch's safe reading refuses."""

    def __init__(self, params: Any, lr: float = 0.1, *, state: bool = False, groups: bool = False) -> None:
        super().__init__(params, lr=lr)
        self.holds = state
        if groups:
            self.param_groups[0]["norm"] = Norm.SPECTRAL

    def step(self, closure: Any = None) -> Any:
        """A step."""
        if self.holds:
            for one in self.param_groups[0]["params"]:
                self.state[one]["last"] = deque([1.0])
        return super().step(closure)


@pytest.mark.parametrize(
    ("options", "held"),
    [
        ("", None),
        ("state=True", "it holds collections.deque"),
        ("groups=True", f"it holds {__name__}.Norm"),
        ("state=True, groups=True", f"it holds collections.deque, {__name__}.Norm"),
    ],
)
def test_all_that_a_state_holds_is_named(table: Callable[..., Data], options: str, held: str | None) -> None:
    """The trial names each kind of object, and finds none exactly where `torch.load(weights_only=True)` succeeds."""
    registries = lossreg.load_registries(allow=[])
    registries.optimizers.register("holding")(Holding)
    plan = lossreg.plan(
        optimizer=f"holding({options})", data=table(), model=nn.Linear(4, 3), device="cpu", registries=registries
    )
    assert plan.facts["optimizer_needs"]["unreadable"] == held
    weight = nn.Parameter(torch.ones(2))
    optimizer = Holding([weight], state="state" in options, groups="groups" in options)
    weight.grad = torch.ones(2)
    optimizer.step()
    file = io.BytesIO()
    torch.save(optimizer.state_dict(), file)
    file.seek(0)
    try:
        torch.load(file, weights_only=True)
    except Exception:
        assert held is not None
    else:
        assert held is None
