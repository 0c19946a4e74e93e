"""What a comparison says of its cells where there is little to say."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytest

import lossreg
from lossreg.comparison.naming import Cell, find_cell
from lossreg.comparison.results import Attempt, CellResult, Comparison, Verdict, summarise
from lossreg.comparison.statistics import paired
from lossreg.comparison.tables import table_lines
from lossreg.run_spec import RunSpec


def cells(*labels: str) -> list[Cell]:
    """Cells with these labels."""
    return [Cell(f"name-{number}", label, {}, RunSpec()) for number, label in enumerate(labels)]


def lines(statuses: Mapping[str, str], target: str | None) -> list[str]:
    """The table of cells of one run each, of which none reached a target."""
    found: list[CellResult] = [
        summarise(cell, [Attempt(0, "x", status, seconds=1.0, final={"test_accuracy": 0.5})])
        for cell, status in zip(cells(*statuses), statuses.values(), strict=True)
    ]
    return table_lines(
        Comparison(
            Path(), tuple(found), "test_accuracy", "test_accuracy", None, target, (), Verdict(""), 1.0, is_whole=True
        )
    )


def test_a_baseline_that_is_several_cells_names_those() -> None:
    """And no other cell."""
    with pytest.raises(lossreg.ConfigError, match=r"is 2 cells: dice, sgd\(lr=1\); dice, sgd\(lr=2\)\. Write more"):
        find_cell("dice, sgd", cells("dice, sgd(lr=1)", "dice, sgd(lr=2)", "l1, sgd(lr=1)", "l1, adam"))


def test_a_mean_difference_that_is_rounding_is_0() -> None:
    """(0.11 - 0.13) + (0.15 - 0.13) is 0, and not -1.4e-17."""
    found = paired({0: 0.11, 1: 0.15}, {0: 0.13, 1: 0.13}, greater_is_better=True)
    assert found is not None
    assert (0.11 - 0.13) + (0.15 - 0.13) != 0
    assert found.mean == 0


def test_a_mean_difference_that_is_small_is_kept() -> None:
    """A millionth of the values."""
    found = paired({0: 1.000001, 1: 1.000003}, {0: 1.0, 1: 1.0}, greater_is_better=True)
    assert found is not None
    assert found.mean == pytest.approx(2e-6, rel=1e-6)


def test_a_target_that_no_run_reached_is_in_the_table() -> None:
    """Its columns say `never`; of a cell without a run that is done nothing is known."""
    head, done, failed, *_ = lines({"sgd": "finished", "adam": "failed"}, "test_accuracy>=0.9")
    assert "epochs to target  seconds to target" in head
    assert done.split().count("never") == 2
    assert "never" not in failed


def test_without_a_target_there_is_no_such_column() -> None:
    """Nothing was timed."""
    assert "target" not in "\n".join(lines({"sgd": "finished"}, None))
