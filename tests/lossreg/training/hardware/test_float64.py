"""A model of float64 weights, as docs/devices.md has it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs
import pytest
import torch
from torch import Tensor, nn

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


@pytest.mark.filterwarnings("ignore:.*")  # that 16 bits are slow on this CPU
@pytest.mark.parametrize("precision", ["32", "bf16"])
def test_a_float64_model_computes_in_float64(run: Run, precision: str) -> None:
    """With float64 inputs, output, loss and weights are float64 in every precision."""
    data = lossreg.datasets.build("diabetes")
    doubled: dict[str, Any] = {name: tuple(part.double() for part in getattr(data, name)) for name in ("train", "test")}
    seen: set[torch.dtype] = set()

    def loss(output: Tensor, target: Tensor) -> Tensor:
        value = nn.functional.mse_loss(output, target)
        seen.update((output.dtype, value.dtype))
        return value

    result = run(
        data=attrs.evolve(data, **doubled), model=nn.Linear(10, 1).double(), loss=loss, epochs=1, precision=precision
    )
    assert seen == {torch.float64}
    assert {parameter.dtype for parameter in result.model.parameters()} == {torch.float64}


def test_a_float64_model_needs_float64_inputs(run: Run) -> None:
    """With the float32 inputs of a built-in data set it is an error that says so."""
    with pytest.raises(
        lossreg.ContractError, match=r"weights are torch\.float64, so the inputs may have to be so, too"
    ):
        run(data="diabetes", model=nn.Linear(10, 1).double(), epochs=1)
