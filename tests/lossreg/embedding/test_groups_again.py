"""Optimizers with parameter groups that the same parts build again for a model that they know."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from tests.lossreg.embedding.test_built_again import calls_in_lossreg, network
from tests.table import for_each


def groups_of(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The options of each group, with the ids of its parameters."""
    return [{**group, "params": [id(one) for one in group["params"]]} for group in optimizer.param_groups]


class Weighted(nn.Module):
    """A loss with a weight of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.bias = nn.Parameter(torch.ones(()))

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The weighted square."""
        return self.bias * (output - target).square().mean()


@for_each(
    "arguments",
    [
        {"optimizer": "adamw(lr=0.1)", "param_groups": {"*.bias": "weight_decay=0", "2.weight": "lr=0.5"}},
        {"optimizer": "adamw", "param_groups": {"*": "weight_decay=0"}},
        {"optimizer": "adamw", "param_groups": {"no_decay": True, "layer_decay(0.5)": True}},
        {"optimizer": "sgd", "param_groups": {"*.bias": "lr=0.2"}, "loss": Weighted()},
        {"optimizer": "sgd", "param_groups": {"*.bias": "adam(lr=0.2)"}},
        {"optimizer": "muon", "param_groups": {"*.bias": "lr=0.2"}},
        {"optimizer": "lookahead(adamw(lr=0.1))", "param_groups": {"*.bias": "weight_decay=0"}},
        {"optimizer": "sam(sgd(lr=0.1))", "param_groups": {"*.bias": "weight_decay=0.1"}},
        {"optimizer": "sgd", "param_groups": {"*.bias": "lr=0.2"}, "freeze": "0.*"},
        {"optimizer": "sgd(scheduler=cosine)", "epochs": 3, "param_groups": {"*.bias": "lr=0.2"}},
    ],
    ids=lambda arguments: str(arguments),
)
def test_a_later_optimizer_is_like_the_first(arguments: dict[str, Any]) -> None:
    """Groups, parameters and options are those of the first one of other parts, and a schedule moves it."""
    model, parts = network(), lossreg.parts(**arguments)
    expected = lossreg.parts(**arguments).optimizer(model)
    for _ in range(3):
        built = parts.optimizer(model)
        assert type(built) is type(expected)
        assert groups_of(built) == groups_of(expected)
    assert (parts.scheduler(built) is None) == ("epochs" not in arguments)


@for_each("fused", [False, True])
def test_a_later_optimizer_has_the_parameters_that_are_there(fused: bool) -> None:
    """One that has taken another's place is trained with the options of its name, and the other one is not."""
    model, parts = network(), lossreg.parts(optimizer="adamw", param_groups={"*.bias": "weight_decay=0"})
    parts.optimizer(model, fused=fused)
    model[0].bias = nn.Parameter(torch.ones(3))
    built = parts.optimizer(model, fused=fused)
    weights, biases = [model[0].weight, model[2].weight], [model[0].bias, model[2].bias]
    assert [group["params"] for group in groups_of(built)] == [[*map(id, weights)], [*map(id, biases)]]
    assert [group["weight_decay"] for group in built.param_groups] == [0.01, 0]
    assert [group["fused"] for group in built.param_groups] == [fused or None] * 2


@pytest.mark.filterwarnings("ignore:`torch.jit:FutureWarning")
def test_groups_of_a_scripted_model() -> None:
    """Names and parameters are those of the model that was scripted."""
    scripted = torch.jit.trace(nn.Sequential(nn.Linear(2, 3)), torch.ones(1, 2))
    parts = lossreg.parts(optimizer="adamw", param_groups={"0.bias": "weight_decay=0"})
    for _ in range(2):
        built = parts.optimizer(scripted)
        assert [[one.ndim for one in group["params"]] for group in built.param_groups] == [[2], [1]]


def test_a_warning_is_given_with_each_optimizer(caplog: pytest.LogCaptureFixture) -> None:
    """What there is to say about an optimizer does not wear off."""
    own = lossreg.load_registries(allow=[], bridges=False)

    @own.optimizers.register
    class Unsaved(torch.optim.SGD):
        def __init__(self, params: Any, lr: float = 0.1) -> None:
            super().__init__(params, lr=lr)

        def state_dict(self) -> dict[str, Any]:
            raise RuntimeError("there is none")

    model, parts = network(), lossreg.parts(optimizer="unsaved", registries=own)
    said = []
    for _ in range(3):
        caplog.clear()
        with caplog.at_level(logging.WARNING, "lossreg"):
            parts.optimizer(model)
        said.append([record.getMessage() for record in caplog.records])
    assert "state_dict() fails: RuntimeError: there is none" in said[0][0]
    assert said[1:] == [said[0]] * 2


@for_each(
    "arguments",
    [
        {"optimizer": "adamw", "param_groups": {"*.bias": "weight_decay=0"}},
        {"optimizer": "adamw", "param_groups": {"no_decay": True}, "loss": "cross_entropy"},
    ],
    ids=lambda arguments: str(arguments),
)
def test_a_later_optimizer_with_groups_costs_little_more_than_its_constructor(arguments: dict[str, Any]) -> None:
    """Patterns and trials are not gone through again: few functions of lossreg are entered."""
    model, parts = network(), lossreg.parts(**arguments)
    parts.optimizer(model)
    assert calls_in_lossreg(lambda: parts.optimizer(model)) <= 20
