"""What would fail in the middle of a run, or train less than meant, is found before it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.conftest import Command

INPUTS = torch.randn(20, 6, generator=torch.Generator().manual_seed(0))
DATA = Data((INPUTS, torch.arange(20) % 3), (INPUTS, torch.arange(20) % 3), "classification", (6,), num_classes=3)


class Growing(nn.Module):
    """Makes a layer in its forward pass."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(6, 3)

    def forward(self, inputs: Tensor) -> Tensor:
        """Logits."""
        if not hasattr(self, "second"):
            self.second = nn.Linear(3, 3)
        return self.second(self.first(inputs))  # type: ignore[no-any-return]  # nn.Module's call is not annotated


def test_parameters_that_are_made_in_the_forward_pass_are_refused(tmp_path: Path) -> None:
    """The optimizer would not have them, so they would stay as they are without a word."""
    with pytest.raises(lossreg.ContractError, match=r"makes parameters \(second.weight, second.bias\).*in __init__"):
        lossreg.run(model=Growing(), data=DATA, epochs=1, quiet=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_lazy_modules_are_not_taken_for_them(tmp_path: Path) -> None:
    """A lazy module has its parameters from the start; only their sizes are found with the first batch."""
    model = nn.Sequential(nn.LazyLinear(4), nn.ReLU(), nn.LazyLinear(3))
    lossreg.run(model=model, data=DATA, epochs=1, quiet=True, out=tmp_path / "run")


def one_cycle(steps: int) -> Any:
    """Makes a schedule that fails behind its last step."""
    return lambda optimizer: torch.optim.lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=steps)


def test_a_function_s_schedule_is_tried_whole(tmp_path: Path) -> None:
    """One that is too short for the run is an error before it, as a named one is; the rates of others are known."""
    usual: dict[str, Any] = {"model": nn.Linear(6, 3), "data": DATA, "epochs": 4}
    with pytest.raises(lossreg.BuildError, match=r"fails after epoch 3 of the run's 4.*Tried to step 3 times"):
        lossreg.run(**usual, scheduler=one_cycle(2), quiet=True, out=tmp_path / "run")
    assert not (tmp_path / "run").exists()
    plan = lossreg.plan(**usual, scheduler=lambda made: torch.optim.lr_scheduler.ExponentialLR(made, 0.5))
    assert plan.learning_rates == [(0.01 * 0.5**epoch, 0.01 * 0.5**epoch) for epoch in range(4)]


def test_a_dotted_option_may_be_a_nested_schedule(lossreg_command: Command) -> None:
    """`--sched warmup --sched.schedule "cosine(eta_min=0.001)"` is what the spec text in one piece is."""
    plans = [
        lossreg_command("plan", "--json", "--epochs", "4", *words).out
        for words in (
            ["--sched", "warmup", "--sched.schedule", "cosine(eta_min=0.001)", "--sched.length", "1"],
            ["--sched", "warmup(cosine(eta_min=0.001), length=1)"],
        )
    ]
    assert plans[0] == plans[1] != ""


def test_the_second_name_of_a_tied_weight_is_told_when_it_is_frozen() -> None:
    """As in param_groups: the tensor goes by its first name."""
    model = nn.Sequential(nn.Linear(6, 6), nn.Linear(6, 6), nn.Linear(6, 3))
    model[1].weight = model[0].weight
    with pytest.raises(lossreg.ConfigError, match=r"1\.weight, which is the same tensor as 0\.weight"):
        lossreg.plan(model=model, data=DATA, freeze="1.w*")
