"""Patterns of parameter groups that match what is frozen, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest
from torch import nn

import lossreg
from tests.table import for_each

FROZEN = "frozen by freeze or by requires_grad_(False); leave this pattern out, or do not freeze what it matches"


@for_each(
    ("pattern", "freeze", "by_hand", "said"),
    [
        ("body.*", "body.*", False, f"it matches body.weight and 1 more, {FROZEN}"),
        ("body.*", None, True, f"it matches body.weight and 1 more, {FROZEN}"),
        ("body.bias", "body.*", False, f"it matches body.bias, {FROZEN}"),
        ("shape=(4, 4)", "body.*", False, f"it matches body.weight, {FROZEN}"),
        ("boby.*", "body.*", False, "Parameters: head.weight, head.bias"),
    ],
)
def test_a_group_of_frozen_parameters_is_refused_as_such(
    pattern: str, freeze: str | None, by_hand: bool, said: str
) -> None:
    """The parameter is there, so that a list of the others would not say what is wrong."""
    model: Any = nn.ModuleDict({"body": nn.Linear(4, 4), "head": nn.Linear(4, 2)})
    if by_hand:
        model["body"].requires_grad_(False)
    parts = lossreg.parts(optimizer="sgd", freeze=freeze, param_groups={pattern: "weight_decay=0.1"})
    for _ in range(2):
        with pytest.raises(lossreg.ConfigError) as caught:
            parts.optimizer(model)
        assert f"param_groups: {pattern!r} matches no trainable parameter of ModuleDict" in caught.value.message
        assert said in caught.value.message


def test_a_group_that_is_trained_in_part_is_built() -> None:
    """It has the parameters that are trained."""
    model = nn.Sequential(nn.Linear(4, 4), nn.Linear(4, 2))
    built = lossreg.parts(optimizer="sgd", freeze="0.*", param_groups={"*.bias": "lr=0.5"}).optimizer(model)
    assert [[tuple(one.shape) for one in group["params"]] for group in built.param_groups] == [[(2, 4)], [(2,)]]
