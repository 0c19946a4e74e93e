"""Which weights are not finite, before they are kept."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from lossreg.training.hardware.precision import Precision
from lossreg.training.loss.adapter import LossAdapter
from lossreg.training.loss.objective import Objective
from lossreg.training.not_finite import are_finite, not_finite_at_start, not_finite_weights
from tests.table import for_each

NAN, INFINITY = float("nan"), float("inf")


class Masked(nn.Module):
    """A layer with a mask of -inf that is saved, a cache that is not, and a count."""

    mask: Tensor
    cache: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(3, 2)
        self.norm = nn.BatchNorm1d(2)
        self.register_buffer("mask", torch.tensor([0.0, -INFINITY]))
        self.register_buffer("cache", torch.zeros(2), persistent=False)

    def forward(self, inputs: Tensor) -> Tensor:
        """Masks the layer's output."""
        masked: Tensor = self.norm(self.layer(inputs)) + self.mask
        return masked


class Scaled(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The scaled mean squared error."""
        return ((output - target) ** 2).mean() * self.scale


@pytest.fixture
def objective() -> Objective:
    """A model and a loss, both with weights."""
    return Objective(Masked(), LossAdapter(Scaled()), Precision("32", "", "cpu"))


def test_finite_weights_have_no_culprit(objective: Objective) -> None:
    """All is well where only a buffer that was not finite at the start is not finite."""
    exempt = not_finite_at_start(objective)
    assert exempt == {"mask"}
    assert not_finite_weights(objective, exempt) is None


@pytest.mark.parametrize("value", [NAN, INFINITY, -INFINITY])
@pytest.mark.parametrize("name", ["layer.weight", "norm.running_var"])
def test_one_number_is_enough(objective: Objective, name: str, value: float) -> None:
    """One number of a parameter or of a buffer that is NaN or infinite names it."""
    exempt = not_finite_at_start(objective)
    with torch.no_grad():
        objective.model.state_dict()[name].view(-1)[-1] = value
    assert not_finite_weights(objective, exempt) == name


def test_the_first_is_named(objective: Objective) -> None:
    """Of several, the first in the order of the model is named; without exemptions a mask counts, too."""
    assert not_finite_weights(objective) == "mask"
    with torch.no_grad():
        objective.model.get_parameter("layer.bias").fill_(NAN)
    assert not_finite_weights(objective, {"mask"}) == "layer.bias"


def test_the_weights_of_the_loss_count(objective: Objective) -> None:
    """A weight of the loss has `loss.` before its name."""
    with torch.no_grad():
        objective.loss.get_parameter("scale").fill_(INFINITY)
    assert not_finite_weights(objective, {"mask"}) == "loss.scale"


def test_what_is_not_saved_does_not_count(objective: Objective) -> None:
    """A buffer that no state_dict has may hold what it likes."""
    assert isinstance(objective.model, Masked)
    objective.model.cache.fill_(NAN)
    assert not_finite_weights(objective, {"mask"}) is None


def test_trained_parameters_are_never_exempt(objective: Objective) -> None:
    """A weight that is trained and not finite at the start is no mask; a frozen one is."""
    with torch.no_grad():
        objective.model.get_parameter("layer.bias").fill_(NAN)
        objective.model.get_parameter("norm.bias").fill_(NAN)
    objective.model.get_parameter("norm.bias").requires_grad_(False)
    assert not_finite_at_start(objective) == {"mask", "norm.bias"}


@for_each("dtype", [torch.float16, torch.bfloat16, torch.float32, torch.float64])
def test_great_numbers_are_finite(dtype: torch.dtype) -> None:
    """Tensors of the greatest number of their type are finite, though their sum is not."""
    assert are_finite([torch.full((1000,), torch.finfo(dtype).max, dtype=dtype)]) == [True]


def test_every_kind_of_tensor() -> None:
    """Tensors without numbers, of whole numbers, complex, sparse and of 8 bits are looked into, each by its own."""
    sparse = torch.tensor([1.0, 0.0, NAN]).to_sparse()
    tensors = [
        torch.empty(0),
        torch.arange(3),
        torch.tensor(True),
        torch.tensor([1 + 1j, complex(0, NAN)]),
        sparse,
        torch.tensor([1.0, NAN]).to(torch.float8_e4m3fn),
        torch.tensor([1.0, 2.0]).to(torch.float8_e4m3fn),
        torch.tensor(NAN, dtype=torch.float64),
        torch.eye(2).to_sparse(),
    ]
    assert are_finite(tensors) == [True, True, True, False, False, False, True, False, True]
