"""A parameter that model and loss share is trained once, under the model's name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.nn import functional

import lossreg
from lossreg import Data

INPUTS = torch.tensor([[1.0, 2.0], [-1.0, 0.5], [0.0, 1.0], [2.0, -1.0]], dtype=torch.float64)
TARGETS = torch.tensor([0, 1, 1, 0])


def data() -> Data:
    """Four points in two classes."""
    split = (INPUTS.float(), TARGETS)
    return Data(split, split, "classification", (2,), num_classes=2)


class Decay(nn.Module):
    """Cross-entropy plus half of the squared weights of a model, which it holds as its own; and a temperature."""

    def __init__(self, model: nn.Module, *, temperature: bool = False) -> None:
        super().__init__()
        self.model = model
        self.temperature = nn.Parameter(torch.ones(())) if temperature else None

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """0-d."""
        if self.temperature is not None:
            output = output * self.temperature
        squares = sum((weight**2).sum() for weight in self.model.parameters())
        return functional.cross_entropy(output, target) + squares / 2


def model() -> nn.Linear:
    """Known weights."""
    linear = nn.Linear(2, 2, bias=False)
    linear.weight.data = torch.tensor([[0.3, -0.2], [0.1, 0.4]])
    return linear


def expected(limit: float | None = None, steps: int = 1) -> Tensor:
    """The weights after steps of gradient descent with rate 0.1, in float64."""
    weight = model().weight.detach().double().requires_grad_()
    for _ in range(steps):
        loss = functional.cross_entropy(INPUTS @ weight.T, TARGETS) + (weight**2).sum() / 2
        (gradient,) = torch.autograd.grad(loss, weight)
        norm = gradient.norm()
        if limit is not None:
            gradient = gradient * min(1.0, limit / float(norm))
        weight = (weight - 0.1 * gradient).detach().requires_grad_()
    return weight.detach()


def trained(tmp_path: Path, **arguments: Any) -> lossreg.RunResult:
    """One step of SGD with rate 0.1 on the four points."""
    usual: dict[str, Any] = {
        "data": data(), "epochs": 1, "quiet": True, "device": "cpu", "precision": "32",
        "optimizer": "sgd(lr=0.1, momentum=0.0)", "out": tmp_path / "out",
    }  # fmt: skip
    return lossreg.run(**{**usual, **arguments})


@pytest.mark.parametrize("optimizer", ["sgd(lr=0.1, momentum=0.0)", lambda weights: torch.optim.SGD(weights, lr=0.1)])
@pytest.mark.parametrize("limit", [None, 0.01])
def test_a_shared_parameter_is_stepped_once(tmp_path: Path, optimizer: Any, limit: float | None) -> None:
    """One step is one step, clipped by the norm of each gradient once, however the optimizer is given."""
    linear = model()
    trained(tmp_path, model=linear, loss=Decay(linear), optimizer=optimizer, clip_grad_norm=limit)
    torch.testing.assert_close(linear.weight.detach().double(), expected(limit), rtol=1e-5, atol=1e-7)


def test_an_optimizer_gets_each_parameter_once(tmp_path: Path) -> None:
    """A function that makes the optimizer is given the shared parameter once, and the loss's own."""
    linear = model()
    loss = Decay(linear, temperature=True)
    given: list[nn.Parameter] = []

    def make(parameters: list[nn.Parameter]) -> torch.optim.Optimizer:
        given[:] = parameters
        return torch.optim.SGD(parameters, lr=0.1)

    trained(tmp_path, model=linear, loss=loss, optimizer=make)
    assert [id(one) for one in given] == [id(linear.weight), id(loss.temperature)]


def test_a_group_names_it_by_the_model_s_name(tmp_path: Path) -> None:
    """A pattern matches the shared parameter as the model's; as the loss's it does not exist."""
    linear = model()
    result = trained(tmp_path, model=linear, loss=Decay(linear), param_groups={"weight": "lr=0.0"})
    assert torch.equal(linear.weight, model().weight)
    assert result.metrics[-1]["lr"] == 0
    with pytest.raises(lossreg.ConfigError, match=r"'loss\.\*' matches loss\.model\.weight, which is .* write weight"):
        lossreg.plan(data=data(), model=linear, loss=Decay(linear), param_groups={"loss.*": "lr=0.0"})


def test_the_loss_s_file_does_not_repeat_the_model(tmp_path: Path) -> None:
    """loss.safetensors holds what is the loss's alone, and is not there if it has nothing."""
    linear = model()
    result = trained(tmp_path, model=linear, loss=Decay(linear, temperature=True))
    assert list(load_file(result.directory / "loss.safetensors")) == ["temperature"]
    result = trained(tmp_path, model=linear, loss=Decay(linear), out=tmp_path / "second")
    assert not (result.directory / "loss.safetensors").exists()
