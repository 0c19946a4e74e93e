"""What is seen of a comparison while it goes on."""

from __future__ import annotations

import io

import pytest

from lossreg.comparison.naming import Cell
from lossreg.comparison.results import Attempt
from lossreg.comparison.watching import CellRun, Table
from lossreg.run_spec import RunSpec


class Terminal(io.StringIO):
    """A terminal that keeps what is shown."""

    def isatty(self) -> bool:
        """It is one."""
        return True


def play(table: Table) -> None:
    """Two runs of a cell, one of which fails."""
    cell = Cell("cell", "adam", {"optimizer": "adam"}, RunSpec(optimizer="adam", epochs=2))
    runs = [CellRun(cell, seed) for seed in (0, 1)]
    table.begun(runs, "runs/first", "two at once")
    for run in runs:
        table.started(run)
        table.epoch(run, {"epoch": 0, "test_loss": 1.5, "test_accuracy": 0.625, "test_mean_absolute_error": None})
    table.ended(runs[0], Attempt(0, "a", "finished", final={"test_accuracy": 0.75}, seconds=3.0))
    table.ended(runs[1], Attempt(1, "b", "failed", reason="the loss is nan"))
    table.close()


def test_a_terminal_gets_a_table(monkeypatch: pytest.MonkeyPatch) -> None:
    """It has a row for each run, with its status, its epoch and its metric, and a line for each end."""
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.setenv("COLUMNS", "100")
    stream = Terminal()
    play(Table(stream))
    shown = stream.getvalue()
    assert "test_accuracy" in shown
    assert "adam, seed 0" in shown
    assert "1/2" in shown
    assert "0.625" in shown
    assert "[2/2] adam, seed 1: failed: the loss is nan" in shown


def test_elsewhere_there_are_lines() -> None:
    """A file gets what begins and a line for each run that ends, and nothing that is drawn anew."""
    stream = io.StringIO()
    play(Table(stream))
    assert stream.getvalue().splitlines() == [
        "runs: 2, two at once; files in runs/first",
        "[1/2] adam, seed 0: test_accuracy 0.75  3.0 s",
        "[2/2] adam, seed 1: failed: the loss is nan",
    ]
