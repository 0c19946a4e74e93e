"""The optimizer is tried before the run."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


def test_an_optimizer_of_another_model_is_refused(run_table: Run, table: Callable[..., Data]) -> None:
    """An optimizer object without any weight of the model is an error; with some of them, a warning."""
    with pytest.raises(lossreg.ConfigError, match="holds no weight of the model"):
        run_table(optimizer=torch.optim.SGD(nn.Linear(4, 3).parameters(), lr=1.0))
    model = nn.Linear(4, 3)
    plan = lossreg.plan(data=table(), model=model, optimizer=torch.optim.SGD([model.bias], lr=1.0))
    assert any("leaves 1 of the 2 weight tensors of model and loss unchanged" in warning for warning in plan.warnings)


def test_an_optimizer_object_is_used_as_it_is(run: Run) -> None:
    """An optimizer instance keeps its parameters and its rate."""
    linear = nn.Linear(784, 10)
    model = nn.Sequential(nn.Flatten(), linear)
    optimizer = torch.optim.SGD([linear.bias], lr=0.5)
    before = linear.weight.detach().clone()
    result = run(model=model, optimizer=optimizer, epochs=1, limit_train=64)
    assert result.final["lr"] == 0.5
    assert torch.equal(before, linear.weight)


def test_closure_optimizers_train_convolutions(run: Run, registries: lossreg.Registries) -> None:
    """LBFGS, which takes views of gradients, trains the CNN."""
    result = run(optimizer="lbfgs(max_iter=2)", epochs=1, limit_train=64, limit_test=16, registries=registries)
    assert json.loads((result.directory / "run.json").read_text())["layout"]["memory_format"] == "contiguous_format"


@pytest.mark.parametrize("rate", ["inf", "1e300"])
def test_a_rate_that_no_weight_can_take_is_refused(run_table: Run, tmp_path: Path, rate: str) -> None:
    """A learning rate beyond float32 is an error before the run, from the optimizer or from the schedule."""
    scheduler = None if rate == "inf" else "lambda_lr(lr_lambda='1e300')"
    with pytest.raises(lossreg.LossregError):
        run_table(optimizer="sgd(lr=inf)" if rate == "inf" else "sgd", scheduler=scheduler)
    assert not (tmp_path / "out").exists()
