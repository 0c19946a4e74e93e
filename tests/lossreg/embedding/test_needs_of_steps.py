"""A gradient scaler hands a closure on to an optimizer whose gradients it scales: refused by name in the step."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
import torch

import lossreg
from tests.lossreg.embedding.needing import Averaged, Curved, One
from tests.table import for_each


def stepped(optimizer: Any, *, enabled: bool) -> float:
    """The weight, which is 1, after a step that a scaler takes."""
    parts, model = lossreg.parts(loss="mse", task="regression", optimizer=optimizer), One()
    built, scaler = parts.optimizer(model), torch.amp.GradScaler("cpu", init_scale=1024.0, enabled=enabled)

    def loss() -> torch.Tensor:
        built.zero_grad()
        value: torch.Tensor = parts.loss(model(torch.ones(2, 1)), torch.zeros(2, 1))
        scaler.scale(value).backward()
        return value

    closure: list[Callable[[], torch.Tensor]] = [loss] if parts.needs.closure else []
    if hasattr(built, "train"):
        built.train()
    loss()
    scaler.step(built, *closure)
    return model.w.item()


@for_each(
    ("optimizer", "wanted"),
    [
        ("lbfgs", r"lbfgs computes the loss again .* which a gradient scaler .* does not support"),
        ("sam(sgd)", r"sam\(.*\) computes the loss again .* a gradient scaler"),
        (Curved, r"Curved differentiates gradients, which a gradient scaler"),
    ],
)
def test_what_a_scaler_does_not_support_is_refused(optimizer: Any, wanted: str) -> None:
    """Torch itself refuses a closure that is given by name alone."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        stepped(optimizer, enabled=True)


def test_other_steps_are_taken() -> None:
    """A scaler that is switched off, as one without a GPU is, and optimizers that take gradients as they are."""
    assert stepped("lbfgs(line_search_fn='strong_wolfe')", enabled=False) == pytest.approx(0.0, abs=1e-6)
    assert stepped(Averaged, enabled=True) == pytest.approx(0.5)  # 1 - 0.25 * 2


def test_what_an_optimizer_needs_is_found_once() -> None:
    """A trial builds it; asking again builds none."""
    built: list[object] = []

    class Counted(torch.optim.SGD):
        def __init__(self, params: Any) -> None:
            built.append(self)
            super().__init__(params, lr=0.1)

    parts = lossreg.parts(optimizer=Counted)
    assert not parts.needs.closure
    count = len(built)
    assert parts.needs is parts.needs
    assert len(built) == count > 0
