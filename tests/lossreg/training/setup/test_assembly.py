"""The parts of a run are built in a fixed order, each from the seed."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

import lossreg
from lossreg import Data

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run, Weights


def test_lazy_modules_get_their_weights(run_table: Run, tmp_path: Path) -> None:
    """A lazy module is initialised from the data, in the same way for the same seed."""
    results = [run_table(model=nn.LazyLinear(3), seed=3, out=tmp_path / str(number)) for number in range(2)]
    first, second = (next(result.model.parameters()) for result in results)
    assert first.shape == (3, 4)
    assert torch.equal(first, second)


def noise(registries: lossreg.Registries, name: str, *, draws: int = 0) -> None:
    """Registers a data set whose factory draws random numbers, and after them some that it does not use."""

    def load() -> Data:
        inputs, targets = torch.randn(32, 4), torch.zeros(32).long()
        torch.rand(draws)
        return Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=2)

    registries.datasets.register(name, model="mlp")(load)


def test_a_data_set_that_draws_numbers_is_repeated(run: Run) -> None:
    """A data set whose factory draws from torch is the same in two runs of one seed."""
    registries = lossreg.load_registries(allow=[])
    noise(registries, "noise")
    first, again = (run(data="noise", epochs=1, registries=registries) for _ in range(2))
    assert first.final["test_loss"] == again.final["test_loss"]


def test_the_initial_weights_do_not_depend_on_what_a_data_set_draws(run: Run, weights: Weights) -> None:
    """The model starts as `torch.manual_seed(seed)` makes it, however many numbers the data set drew before."""
    registries = lossreg.load_registries(allow=[])
    torch.manual_seed(3)
    expected = registries.models.build("mlp", in_features=4, out_features=2)
    for draws in (0, 7):
        noise(registries, f"noise{draws}", draws=draws)
        result = run(data=f"noise{draws}", optimizer="sgd(lr=0.0)", epochs=1, seed=3, registries=registries)
        assert weights(result.model).equal(weights(expected))
