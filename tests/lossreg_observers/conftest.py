"""A short run with an observer, and its rows."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:  # the process that shares the tests out imports this file, and need not import torch
    Observed = Callable[..., lossreg.RunResult]
    Curves = Callable[[lossreg.RunResult], dict[str, list[tuple[int, float]]]]


@pytest.fixture
def observed(tmp_path: Path) -> Observed:
    """Trains two epochs of two steps on a table, with an observer; a further one may end the run."""

    def run(observe: str, **arguments: Any) -> lossreg.RunResult:
        usual: dict[str, Any] = {
            "data": "diabetes", "limit_train": 64, "batch_size": 32, "epochs": 2, "log_every": 1, "device": "cpu",
            "precision": "32", "out": tmp_path / "out", "quiet": True,
        }  # fmt: skip
        return lossreg.run(**{**usual, "observe": [observe], **arguments})

    return run


@pytest.fixture
def curves() -> Curves:
    """The curves that metrics.jsonl holds: kind/field -> pairs of step and value."""

    def read(result: lossreg.RunResult) -> dict[str, list[tuple[int, float]]]:
        found: dict[str, list[tuple[int, float]]] = {}
        for row in map(json.loads, (result.directory / "metrics.jsonl").read_text().splitlines()):
            for field, value in row.items():
                if isinstance(value, float):
                    found.setdefault(f"{row['kind']}/{field}", []).append((row["step"], value))
        return found

    return read


class Fails:
    """Ends a run by an error after its first epoch."""

    def __init__(self, error: BaseException) -> None:
        self.error = error

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Raises."""
        raise self.error


@pytest.fixture
def failing() -> Callable[[BaseException], Fails]:
    """Makes an observer that ends a run by an error after its first epoch."""
    return Fails
