"""What optimizers need beside gradients, with Accelerate: its loop gives it, or is told what to call."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossreg
from tests.lossreg.embedding.needing import Averaged, Curved, One, Switched
from tests.table import for_each

accelerate: Any = pytest.importorskip("accelerate", reason="accelerate is not installed (pip install 'lossreg[hosts]')")

from lossreg.adapters.accelerate import prepare  # noqa: E402  # behind the check that accelerate is there

X, Y = torch.ones(2, 1), torch.zeros(2, 1)


def made(optimizer: Any, accelerator: Any = None) -> tuple[Any, lossreg.HostParts, Any, Any]:
    """An accelerator, parts, a model and its optimizer."""
    accelerator = accelerator or accelerate.Accelerator(cpu=True)
    parts = lossreg.parts(loss="mse", task="regression", optimizer=optimizer)
    model, built, _, _ = prepare(accelerator, parts, One(), DataLoader(TensorDataset(X, Y), 2), epochs=1)
    return accelerator, parts, model, built


@for_each(
    ("optimizer", "wanted"),
    [
        ("lbfgs", r"the optimizer lbfgs computes the loss again .* \(closure\): call optimizer.step\(closure\)"),
        ("sam(sgd)", r"sam\(.*\) computes the loss again .* call optimizer.step\(closure\)"),
        (Switched, r"Switched switches between .* call optimizer.train\(\)"),
        (Curved, r"Curved differentiates gradients: call loss.backward\(create_graph=True\)"),
    ],
)
def test_a_loop_that_does_not_give_it_is_told(optimizer: Any, wanted: str) -> None:
    """The usual loop, which knows nothing of it."""
    accelerator, parts, model, built = made(optimizer)
    accelerator.backward(parts.loss(model(X), Y))
    with pytest.raises(lossreg.ConfigError, match=wanted):
        built.step()


@pytest.mark.filterwarnings("ignore:Using backward")  # of torch, once in a process
def test_a_loop_that_gives_it_trains() -> None:
    """A closure; modes; and gradients with their graph."""
    accelerator, parts, model, built = made("lbfgs(line_search_fn='strong_wolfe')")

    def closure() -> torch.Tensor:
        built.zero_grad()
        loss: torch.Tensor = parts.loss(model(X), Y)
        accelerator.backward(loss)
        return loss

    built.step(closure)
    assert model.w.item() == pytest.approx(0.0, abs=1e-6)
    accelerator, parts, model, built = made(Averaged)
    built.train()
    for _ in range(2):
        built.zero_grad()
        accelerator.backward(parts.loss(model(X), Y))
        built.step()
    built.eval()
    assert model.w.item() == 0.375  # the mean of 1/2 and 1/4
    accelerator, parts, model, built = made(Curved)
    accelerator.backward(parts.loss(model(X), Y), create_graph=True)
    built.step()
    assert model.w.item() == pytest.approx(0.0)
    built.zero_grad()


def test_what_accelerate_cannot_do_with_closures_is_refused() -> None:
    """It computes the last of several batches alone, and its gradient scaler takes no closure."""
    several = accelerate.Accelerator(cpu=True, gradient_accumulation_steps=4)
    with pytest.raises(lossreg.ConfigError, match=r"lbfgs computes .* for the last of 4 accumulated batches alone"):
        made("lbfgs", several)
    scaled = accelerate.Accelerator(cpu=True)
    scaled.scaler = torch.amp.GradScaler("cpu")
    for optimizer, what in (("lbfgs", "computes the loss again"), (Curved, "differentiates gradients")):
        with pytest.raises(lossreg.ConfigError, match=rf"{what}.*, which the gradient scaler of Accelerate does not"):
            made(optimizer, scaled)


def test_the_state_of_another_optimizer_is_refused(tmp_path: Any) -> None:
    """`load_state` of Accelerate says which optimizer has saved it."""
    accelerator, parts, model, built = made("adam")
    accelerator.backward(parts.loss(model(X), Y))
    built.step()
    accelerator.save_state(str(tmp_path))
    other, *_ = made("adamw")
    with pytest.raises(lossreg.StateError, match=r"the optimizer builtin\.adam, and this one is builtin\.adamw"):
        other.load_state(str(tmp_path))
