"""What a comparison claims, and what it does not."""

from __future__ import annotations

import csv
from collections.abc import Mapping
from pathlib import Path

import pytest

from lossreg.comparison.naming import Cell
from lossreg.comparison.results import Attempt, CellResult, Comparison, Verdict, ranked, summarise, with_differences
from lossreg.comparison.tables import csv_text, table_lines
from lossreg.comparison.verdict import judge
from lossreg.run_spec import RunSpec

CLEAR = {"good": [0.90, 0.91, 0.92, 0.93], "bad": [0.80, 0.82, 0.81, 0.84]}
CLOSE = {"good": [0.90, 0.91, 0.92, 0.93], "bad": [0.91, 0.89, 0.92, 0.92]}


def results(values: Mapping[str, list[float]], metric: str = "test_accuracy") -> list[CellResult]:
    """Cells whose runs ended with these values, a seed each, ranked."""
    made = [
        summarise(
            Cell(label, label, {"optimizer": label}, RunSpec()),
            [
                Attempt(seed, f"{label}{seed}", "finished", final={metric: value}, seconds=1.0)
                for seed, value in enumerate(of_cell)
            ],
        )
        for label, of_cell in values.items()
    ]
    return ranked(made, metric)


def verdict(values: Mapping[str, list[float]], baseline: str | None = None, metric: str = "test_accuracy") -> Verdict:
    """The verdict on these cells."""
    cells = results(values, metric)
    reference = next(cell for cell in cells if cell.label == (baseline or cells[0].label))
    cells = with_differences(cells, reference, metric)
    return judge(cells, reference, metric, chosen_by=metric, is_baseline=baseline is not None)


def test_a_best_is_claimed_where_the_interval_excludes_0() -> None:
    """Four seeds with a clear difference."""
    found = verdict(CLEAR)
    assert (found.best, found.told_apart) == ("good", True)
    assert "is the best: better than bad" in found.sentence


def test_a_best_is_not_claimed_where_it_does_not() -> None:
    """The sentence says by how many seeds the two are not told apart, and how many would do."""
    found = verdict(CLOSE)
    assert (found.best, found.told_apart) == ("good", False)
    assert "No cell is the best for certain" in found.sentence
    assert "not told apart from bad by 4 seeds" in found.sentence
    assert found.seeds_needed is not None
    assert f"about {found.seeds_needed} seeds would tell them apart" in found.sentence


def test_one_cell_that_is_too_close_is_enough() -> None:
    """A cell that beats one of two others for certain is not the best for certain."""
    found = verdict({**CLEAR, "close": CLOSE["bad"]})
    assert not found.told_apart
    assert "not told apart from close" in found.sentence


def test_one_seed_claims_nothing() -> None:
    """However great the difference is."""
    found = verdict({"good": [0.99], "bad": [0.10]})
    assert not found.told_apart
    assert "one seed gives no interval" in found.sentence


def test_a_smaller_loss_is_better() -> None:
    """Where a loss is compared, the cell with the smallest is the best."""
    found = verdict(CLEAR, metric="test_loss")
    assert (found.best, found.told_apart) == ("bad", True)


@pytest.mark.parametrize(("baseline", "word"), [("bad", "better than the baseline bad"), ("good", "worse than the")])
def test_a_baseline_is_compared_with_the_best_of_the_others(baseline: str, word: str) -> None:
    """The sentence is about the best cell that is not the baseline."""
    found = verdict(CLEAR, baseline)
    assert found.told_apart
    assert word in found.sentence


def test_a_single_cell_is_compared_with_nothing() -> None:
    """It has its mean and deviation, and no claim."""
    found = verdict({"good": CLEAR["good"]})
    assert (found.best, found.told_apart) == ("good", False)
    assert "test_accuracy 0.915 ± 0.013 over 4 seeds" in found.sentence


def test_no_finished_run_is_no_answer() -> None:
    """Nothing is claimed where every run failed."""
    cell = summarise(Cell("x", "x", {}, RunSpec()), [Attempt(0, "x0", "failed", "no memory")])
    assert judge([cell], None, None, chosen_by=None, is_baseline=False).best is None


def comparison(values: Mapping[str, list[float]]) -> Comparison:
    """A comparison of these cells."""
    cells = results(values)
    cells = with_differences(cells, cells[0], "test_accuracy")
    return Comparison(
        Path("x"), tuple(cells), "test_accuracy", "test_accuracy", cells[0].label, None, (), Verdict("."), 1.0, True
    )


def test_the_table_has_a_row_for_each_cell() -> None:
    """Best first, with mean, deviation, the difference and its interval, and the seeds that were won."""
    head, good, bad = table_lines(comparison(CLEAR))
    assert head.split()[:3] == ["cell", "done", "test_accuracy"]
    assert good.split()[:5] == ["good", "4/4", "0.915", "±", "0.013"]
    assert "[-0.11, -0.082]" in bad  # -0.0975 ± 3.1824 · 0.009574 / 2
    assert bad.rstrip().endswith("0 of 4")


def test_the_csv_has_numbers() -> None:
    """Full precision, and what differs in a column of its own."""
    rows = list(csv.DictReader(csv_text(comparison(CLEAR)).splitlines()))
    assert [row["optimizer"] for row in rows] == ["good", "bad"]
    assert float(rows[1]["difference_mean"]) == pytest.approx(-0.0975)
    assert (rows[1]["difference_wins"], rows[0]["difference_mean"]) == ("0", "")
