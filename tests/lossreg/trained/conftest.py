"""Runs to come back to."""

from __future__ import annotations

import functools
import itertools
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import RunResult

Run = Callable[..., RunResult]
Edit = Callable[..., None]

load_run = functools.partial(lossreg.load_run, device="cpu")  # as the runs are


@pytest.fixture
def run(tmp_path: Path) -> Run:
    """`lossreg.run` on few digits with a small model, on the CPU, unless the arguments say otherwise."""
    number = itertools.count()

    def quiet_run(**arguments: Any) -> RunResult:
        usual = {"model": "mlp", "epochs": 1, "limit_train": 64, "limit_test": 30}
        usual |= {"quiet": True, "precision": "32", "device": "cpu", "out": tmp_path / f"run{next(number)}"}
        return lossreg.run(**{**usual, **arguments})

    return quiet_run


@pytest.fixture
def edit() -> Edit:
    """Changes a run.json: `edit(directory, lambda record: ...)`."""

    def change(directory: Path, how: Callable[[dict[str, Any]], object]) -> None:
        record = json.loads((directory / "run.json").read_text())
        how(record)
        (directory / "run.json").write_text(json.dumps(record))

    return change


def is_same(one: nn.Module, other: nn.Module) -> bool:
    """Whether two modules have the same state, bit for bit."""
    first, second = one.state_dict(), other.state_dict()
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)
