"""Parts that draw from the global generators of Python and numpy."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg.training.seeds import forked_generators

if TYPE_CHECKING:
    from lossreg import Data
    from tests.lossreg.training.conftest import Run


class Drawing(nn.Module):
    """Draws its weights, and noise in training, from Python's and numpy's generators."""

    def __init__(self) -> None:
        super().__init__()
        self.linear = nn.Linear(4, 3)
        self.first = random.random()  # noqa: S311  # no secret
        self.second = float(np.random.standard_normal())
        nn.init.constant_(self.linear.bias, self.first + self.second)
        self.drawn: list[float] = []

    def forward(self, inputs: Tensor) -> Tensor:
        """The output."""
        noise = random.random() + float(np.random.random()) if self.training else 1.0  # noqa: S311  # as above
        self.drawn.append(noise)
        output: Tensor = self.linear(inputs * noise)
        return output


def drawing() -> Drawing:
    """The model, built by the run."""
    return Drawing()


@pytest.mark.parametrize("seed", [0, 2**40 + 3])
def test_two_runs_of_one_seed_draw_the_same(run: Run, table: Callable[..., Data], seed: int) -> None:
    """Whatever was drawn before; what building draws begins at the seed, and what training draws follows it."""
    registries = lossreg.load_registries(allow=[])
    registries.models.register("drawing")(drawing)
    usual: dict[str, Any] = {"data": table(), "model": "drawing", "seed": seed, "epochs": 2, "registries": registries}
    random.seed(1)
    np.random.seed(1)
    one, other = (run(**usual).model for _ in range(2))
    assert isinstance(one, Drawing)
    assert isinstance(other, Drawing)
    expected = random.Random(seed), np.random.RandomState(seed % 2**32)  # noqa: S311  # as above
    assert (one.first, one.second) == (expected[0].random(), expected[1].standard_normal())
    trained = [noise for noise in one.drawn if noise != 1.0]
    assert trained[-2:] == [noise for noise in other.drawn if noise != 1.0][-2:]
    assert torch.equal(one.linear.weight, other.linear.weight)
    assert run(**{**usual, "seed": seed + 1}).model.first != one.first


def test_the_checks_before_a_run_draw_nothing(run: Run, table: Callable[..., Data]) -> None:
    """The first noise of training is the first number after those of building."""
    registries = lossreg.load_registries(allow=[])
    registries.models.register("drawing")(drawing)
    model = run(data=table(), model="drawing", epochs=1, registries=registries).model
    assert isinstance(model, Drawing)
    own, of_numpy = random.Random(0), np.random.RandomState(0)  # noqa: S311  # as above
    own.random(), of_numpy.standard_normal()
    noise = own.random() + float(of_numpy.random())
    assert next(one for one in model.drawn if one != 1.0) == noise


def test_accelerators_that_are_not_used_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    """A trial on the CPU of a machine with several of them begins to use none, of which torch would warn."""
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 8)
    monkeypatch.setattr(torch.random, "_fork_rng_warned_already", False)
    expected = torch.default_generator.get_state()
    with forked_generators():
        torch.rand(1)
    assert torch.equal(torch.default_generator.get_state(), expected)
