"""Runs that are the same on every machine, and their weights."""

from __future__ import annotations

import itertools
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn

import lossreg
from lossreg import RunResult


@pytest.fixture
def run(tmp_path: Path) -> Callable[..., RunResult]:
    """`lossreg.run` without progress and in float32, on every machine, each time into a new directory."""
    number = itertools.count()

    def quiet_run(**arguments: Any) -> RunResult:
        return lossreg.run(
            **{"quiet": True, "precision": "32", "device": "cpu", "out": tmp_path / f"run{next(number)}", **arguments}
        )

    return quiet_run


@pytest.fixture
def weights() -> Callable[[nn.Module], Tensor]:
    """All weights of a model in one tensor, on the CPU."""
    return lambda model: torch.cat([weight.detach().cpu().flatten() for weight in model.parameters()])
