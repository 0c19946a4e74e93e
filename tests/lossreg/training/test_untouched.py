"""A plan changes nothing of the objects that it is given."""

from __future__ import annotations

import copy
from collections.abc import Callable
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from tests.table import for_each


def convolutional() -> nn.Module:
    """A model whose weights a run may lay out otherwise, with a layer that is in evaluation mode."""
    torch.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(1, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 3), nn.Flatten(), nn.Linear(4 * 24 * 24, 10)
    )
    model[1].eval()
    return model


def facts_of(model: nn.Module) -> Any:
    """All that can be seen of a model."""
    tensors = [*model.named_parameters(), *model.named_buffers()]
    values = [(name, one.tolist(), one.stride(), one.device, one.requires_grad, one.grad) for name, one in tensors]
    return values, [module.training for module in model.modules()]


@for_each(
    "scheduler",
    [
        "linear(start_factor=0.5)",
        "one_cycle(max_lr=1.0)",
        lambda optimizer: torch.optim.lr_scheduler.LinearLR(optimizer),
        None,
    ],
)
def test_a_plan_leaves_the_optimizer_as_it_was(scheduler: Any) -> None:
    """Its groups have no other keys and rates, its `step` is that of its class, and a further scheduler fits."""
    model = convolutional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    before = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    names = set(vars(optimizer))
    lossreg.plan(model=model, optimizer=optimizer, scheduler=scheduler, limit_train=64)
    after = [{key: value for key, value in group.items() if key != "params"} for group in optimizer.param_groups]
    assert after == before
    assert set(vars(optimizer)) == names
    assert all(one is other for one, other in zip(optimizer.param_groups[0]["params"], model.parameters(), strict=True))
    assert not optimizer.state


@for_each("settings", [{}, {"layout": "channels_last"}, {"freeze": "0.*"}, {"loss": nn.NLLLoss()}])
def test_a_plan_leaves_the_model_as_it_was(settings: dict[str, Any]) -> None:
    """Weights, statistics, layouts, modes, and what is trained."""
    model = convolutional()
    before = copy.deepcopy(facts_of(model))
    lossreg.plan(model=model, limit_train=64, **settings)
    assert facts_of(model) == before


def test_a_plan_that_fails_leaves_them_too() -> None:
    """An error in the middle of a set-up is no reason to keep its traces."""
    model = convolutional()
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    before, groups = copy.deepcopy(facts_of(model)), copy.deepcopy(optimizer.state_dict()["param_groups"])

    def schedule(optimizer: Any) -> Any:
        torch.optim.lr_scheduler.LinearLR(optimizer)
        raise ArithmeticError("no schedule")

    with pytest.raises(lossreg.LossregError, match="no schedule"):
        lossreg.plan(model=model, optimizer=optimizer, scheduler=schedule, layout="channels_last", limit_train=64)
    assert facts_of(model) == before
    assert optimizer.state_dict()["param_groups"] == groups


def test_a_planned_run_is_the_same_as_one_that_was_not_planned(tmp_path: Any) -> None:
    """The rates and weights of a run are the same behind a plan of the same objects."""

    def trained(prepare: Callable[..., object], name: str) -> list[Any]:
        model = convolutional()
        parts: dict[str, Any] = {
            "model": model,
            "optimizer": torch.optim.SGD(model.parameters(), lr=0.1),
            "scheduler": "linear(start_factor=0.5)",
        }
        prepare(**parts, epochs=2, limit_train=64)
        result = lossreg.run(**parts, epochs=2, limit_train=64, limit_test=8, out=tmp_path / name, quiet=True)
        return [[row["lr"] for row in result.metrics], [one.tolist() for one in model.parameters()]]

    assert trained(lossreg.plan, "planned") == trained(dict, "alone")
