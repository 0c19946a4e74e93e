"""Weights that cannot be written are found before a run, and not at its end."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
import torch
from torch import Tensor, nn

import lossreg

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lossreg.training.conftest import Run


class WithBuffer(nn.Module):
    """A linear model of the digits with a sparse buffer."""

    def __init__(self, *, persistent: bool) -> None:
        super().__init__()
        self.register_buffer("edges", torch.eye(3).to_sparse(), persistent=persistent)
        self.head = nn.Linear(784, 10)

    def forward(self, inputs: Tensor) -> Tensor:
        """The logits."""
        output: Tensor = self.head(inputs.flatten(1))
        return output


class WithObject(WithBuffer):
    """The same with an object in its state that is not plain data."""

    def __init__(self) -> None:
        super().__init__(persistent=False)

    def get_extra_state(self) -> dict[str, Any]:
        """An object."""
        return {"inner": object()}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Takes nothing."""


def test_weights_that_cannot_be_kept_are_named(run: Run, tmp_path: Path) -> None:
    """The entry is named, and nothing is written; a buffer that is not persistent is no hindrance."""
    small: dict[str, Any] = {"epochs": 1, "limit_train": 16, "limit_test": 8, "out": tmp_path / "out"}
    for model, said in (
        (WithBuffer(persistent=True), "cannot be kept: edges is a sparse tensor"),
        (WithObject(), "cannot be kept: .*_extra_state.*inner.*object"),
    ):
        with pytest.raises(lossreg.ConfigError, match=said):
            run(model=model, **small)
        assert not (tmp_path / "out").exists()
    run(model=WithBuffer(persistent=False), **small)
    assert (tmp_path / "out" / "model.safetensors").exists()
