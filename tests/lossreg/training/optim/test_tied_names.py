"""Patterns of parameter groups and weights that have several names."""

from __future__ import annotations

import pytest
import torch
from torch import nn

import lossreg
from lossreg.training.hardware.precision import Precision
from lossreg.training.loss.adapter import LossAdapter
from lossreg.training.loss.objective import Objective
from tests.table import for_each


class Tied(nn.Module):
    """Two layers of one weight."""

    def __init__(self) -> None:
        super().__init__()
        self.first = nn.Linear(784, 784)
        self.second = nn.Linear(784, 784)
        self.second.weight = self.first.weight
        self.last = nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """The output of the last layer."""
        hidden: torch.Tensor = self.second(self.first(images.flatten(1)))
        output: torch.Tensor = self.last(hidden)
        return output


@for_each("pattern", ["second.weight", "second.w*"])
def test_a_second_name_is_refused_with_the_first(pattern: str) -> None:
    """A pattern that only a weight's second name matches is told the name by which it goes."""
    with pytest.raises(lossreg.ConfigError) as refusal:
        lossreg.plan(model=Tied(), param_groups={pattern: "lr=0.1"})
    assert str(refusal.value) == (
        f"param_groups: {pattern!r} matches second.weight, which is the same tensor as first.weight; it goes by that "
        "name: write first.weight"
    )


def test_a_pattern_for_the_rest_of_a_layer_leaves_the_shared_weight() -> None:
    """A pattern that matches a second name beside others takes the others alone."""
    lossreg.plan(model=Tied(), param_groups={"first.*": "lr=0.1", "second.*": "lr=0.2"})  # not "in two groups"


def test_the_further_names_are_those_of_torch() -> None:
    """Model and loss may share a weight, too; each further name leads to the one that is trained."""
    model = Tied()
    loss = nn.Module()
    loss.anchor = model.last.bias
    objective = Objective(model, LossAdapter(loss), Precision("32", "", "cpu"))
    assert objective.further_names() == {"second.weight": "first.weight", "loss.anchor": "last.bias"}
