"""From a name, a spec text or a spec to an object."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lossreg
from lossreg import ComponentSpec


def test_build_takes_a_name_a_text_or_a_spec() -> None:
    """A name with arguments, a spec text and a spec build the same loss."""
    built = [
        lossreg.losses.build("cross_entropy", label_smoothing=0.1),
        lossreg.losses.build("cross_entropy(label_smoothing=0.1)"),
        lossreg.losses.build(ComponentSpec("cross_entropy", {"label_smoothing": 0.1})),
    ]
    assert [loss.label_smoothing for loss in built] == [0.1, 0.1, 0.1]
    assert {type(loss) for loss in built} == {torch.nn.CrossEntropyLoss}


def test_objects_are_parameters_from_python() -> None:
    """Python may give what no text can say: a function as a schedule."""
    optimizer = lossreg.optimizers.build("sgd", [torch.nn.Parameter(torch.zeros(1))], lr=0.1)
    scheduler = lossreg.schedulers.build("lambda_lr", optimizer, lr_lambda=lambda epoch: 0.5**epoch)
    optimizer.step()
    scheduler.step()
    assert optimizer.param_groups[0]["lr"] == pytest.approx(0.05)


def test_a_list_becomes_the_tensor_that_a_parameter_wants() -> None:
    """Class weights may be written as a list."""
    loss = lossreg.losses.build("cross_entropy(weight=[1.0, 2.0])")
    assert isinstance(loss.weight, torch.Tensor)
    assert torch.equal(loss.weight, torch.tensor([1.0, 2.0]))


def test_a_parameter_given_twice_is_an_error() -> None:
    """The spec and the arguments may not both set a parameter."""
    with pytest.raises(lossreg.UnknownParameterError, match="given in the spec and as an argument"):
        lossreg.losses.build("dice(smooth=1.0)", smooth=2.0)


def test_a_factory_s_refusal_is_told_with_its_cause() -> None:
    """A value that the factory refuses is an error with the factory's own as its cause."""
    with pytest.raises(lossreg.BuildError, match="Invalid learning rate: -1") as caught:
        lossreg.optimizers.build("sgd", [torch.nn.Parameter(torch.zeros(1))], lr=-1)
    assert isinstance(caught.value.__cause__, ValueError)


def test_nested_specs_are_built_from_the_same_registry() -> None:
    """A parameter may be a component of the same kind."""
    registries = lossreg.load_registries()

    @registries.losses.register("halved", target="index")
    class Halved(torch.nn.Module):
        def __init__(self, loss: torch.nn.Module) -> None:
            super().__init__()
            self.loss = loss

        def forward(self, output: torch.Tensor, target: torch.Tensor) -> Any:
            return self.loss(output, target) / 2

    built = registries.losses.build("halved(loss=halved(loss=dice(smooth=2.0)))")
    logits, target = torch.randn(5, 3), torch.tensor([0, 1, 2, 0, 1])
    expected = registries.losses.build("dice", smooth=2.0)(logits, target) / 4
    torch.testing.assert_close(built(logits, target), expected)
