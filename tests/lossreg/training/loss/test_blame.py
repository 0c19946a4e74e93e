"""An error of a loss that is about a parameter of its own blames that parameter."""

from __future__ import annotations

import pytest
import torch

import lossreg
from tests.table import for_each


@for_each("data", ["digits", "diabetes"])
def test_a_reduction_that_does_not_exist_is_refused_with_those_that_do(data: str) -> None:
    """The message has torch's words for the reduction, and does not say that the parts do not fit."""
    loss = "cross_entropy" if data == "digits" else "mse"
    with pytest.raises(lossreg.ParameterError) as refusal:
        lossreg.plan(loss=f"{loss}(reduction='avg')", data=data)
    assert str(refusal.value) == (
        f"loss {loss}(reduction='avg'): reduction is 'none', 'mean' or 'sum', not 'avg'; training needs 'mean' or 'sum'"
    )
    assert refusal.value.parameter == "reduction"


@for_each(
    ("written", "parameter", "sentence"),
    [
        ("label_smoothing=2", "label_smoothing", "label_smoothing must be between 0.0 and 1.0. Got: 2"),
        ("weight=[1, 2]", "weight", "weight tensor should be defined either for all 10 classes or no classes"),
    ],
)
def test_a_value_that_torch_refuses_is_told_in_its_words(written: str, parameter: str, sentence: str) -> None:
    """The message names the loss, the parameter and torch's own sentence."""
    with pytest.raises(lossreg.ParameterError) as refusal:
        lossreg.plan(loss=f"cross_entropy({written})")
    assert str(refusal.value).startswith(f"loss cross_entropy({written}): its parameter {parameter} is wrong: ")
    assert sentence in str(refusal.value)
    assert (refusal.value.parameter, refusal.value.setting) == (parameter, "loss")


def test_an_object_with_a_wrong_parameter_is_told_alike() -> None:
    """A loss that was given as an object is blamed by its class and parameter."""
    with pytest.raises(lossreg.ParameterError, match=r"CrossEntropyLoss: reduction is .* not 'avg'"):
        lossreg.plan(loss=torch.nn.CrossEntropyLoss(reduction="avg"))


def test_what_does_not_fit_is_still_told_as_that() -> None:
    """An error that names no parameter which was set is one of data, model and loss together."""
    with pytest.raises(lossreg.ContractError, match="do not fit: the loss failed on output"):
        lossreg.plan(loss=torch.nn.BCELoss())


def test_a_parameter_at_its_default_is_not_blamed() -> None:
    """A word of the message that is the name of a parameter at its default blames nothing."""

    class Picky(torch.nn.Module):
        def __init__(self, margin: float = 1.0) -> None:
            super().__init__()
            self.margin = margin

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
            raise ValueError("the margin between output and target")

    with pytest.raises(lossreg.ContractError, match="do not fit"):
        lossreg.plan(loss=Picky())
    with pytest.raises(lossreg.ParameterError, match="its parameter margin is wrong: ValueError: the margin between"):
        lossreg.plan(loss=Picky(margin=2.0))
