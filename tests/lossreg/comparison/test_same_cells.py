"""Cells that come to the same are one cell, whatever they were asked for as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

import lossreg
from lossreg.comparison.planning import plan_comparison
from lossreg.comparison.question import Options, question_of

SMALL: dict[str, Any] = {"model": "mlp", "limit_train": 100, "limit_test": 50, "epochs": 1}


def test_an_id_and_a_default_that_is_written_are_no_further_cell() -> None:
    """`dice`, `builtin.dice` and `dice(smooth=1e-5)` are one."""
    losses = ["dice", "builtin.dice", "dice(smooth=1e-5)", "cross_entropy"]
    planned = plan_comparison(question_of({**SMALL, "loss": losses}, 1, pairs=False), Options())
    assert [cell.label for cell in planned.cells] == ["dice", "cross_entropy"]


def test_cells_that_get_the_same_rate_are_one(tmp_path: Path) -> None:
    """Their trials and runs are done once: two processes never share a run directory."""
    found = lossreg.compare(
        **SMALL, optimizer=["sgd(lr=0.1)", "sgd(lr=0.01)"], fair=3, validate=0.2, seeds=2, quiet=True,
        baseline="sgd(lr=0.01)", out=tmp_path / "fair",
    )  # fmt: skip
    names = [run.directory for cell in found.cells for run in cell.runs]
    assert len(names) == len(set(names))
    assert found.is_whole


def test_devices_that_are_not_there_are_told_before_a_run() -> None:
    """`--dry-run` checks them, too."""
    from lossreg.comparison.session import plan

    with pytest.raises(lossreg.ConfigError, match=r"devices \(--devices\)"):
        plan(question_of({**SMALL, "device": "cpu"}, 1, pairs=False), Options(devices=("cuda:0",)))
