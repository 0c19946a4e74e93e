"""Cells that are compared by a metric that the runs named: which values are better is what it declares."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossreg.comparison.naming import Cell
from lossreg.comparison.results import (
    Attempt,
    Comparison,
    Verdict,
    metric_of,
    ranked,
    summarise,
    with_differences,
)
from lossreg.comparison.tables import table_lines
from lossreg.comparison.verdict import judge
from lossreg.run_spec import RunSpec

HIGH, LOW = [0.90, 0.91, 0.92, 0.93], [0.80, 0.82, 0.81, 0.84]


@pytest.mark.parametrize(("better", "best"), [("higher", "high"), ("lower", "low")])
def test_the_best_cell_is_that_of_the_better_values(better: str, best: str) -> None:
    """Rank, difference and verdict go by the record of the metric, not by its name."""
    cells = [
        summarise(
            Cell(label, label, {"optimizer": label}, RunSpec()),
            [
                Attempt(seed, f"{label}{seed}", "finished", final={"test_mine": value}, directions={"mine": better})
                for seed, value in enumerate(values)
            ],
        )
        for label, values in {"high": HIGH, "low": LOW}.items()
    ]
    metric, chosen_by = metric_of(cells)
    assert (metric, chosen_by) == ("test_mine", "test_mine")
    assert metric is not None
    first, *_ = cells = ranked(cells, metric)
    assert first.label == best
    cells = with_differences(cells, first, metric)
    verdict = judge(cells, first, metric, chosen_by=metric, is_baseline=False)
    assert (verdict.best, verdict.told_apart) == (best, True)


def test_the_table_has_a_column_for_each() -> None:
    """Metrics that the runs named stand behind the one that is compared."""
    final = {"test_accuracy": 0.5, "test_mine": 0.25, "test_loss": 1.0}
    attempt = Attempt(0, "a", "finished", final=final, directions={"mine": "lower"})
    cells = (summarise(Cell("a", "a", {}, RunSpec()), [attempt]),)
    comparison = Comparison(
        Path(), cells, "test_accuracy", "test_accuracy", None, None, (), Verdict(""), 1.0, is_whole=True
    )
    assert table_lines(comparison)[0].split() == ["cell", "done", "test_accuracy", "test_mine", "test_loss"]


def test_a_metric_of_no_direction_compares_nothing() -> None:
    """What every run has goes before what runs name; what has no better value is not compared."""

    def metric(**final: float) -> str | None:
        attempt = Attempt(0, "a", "finished", final=final, directions={"auroc": "higher", "mine": None})
        return metric_of([summarise(Cell("a", "a", {}, RunSpec()), [attempt])])[0]

    assert metric(test_mine=1.0) is None
    assert metric(test_mine=1.0, test_auroc=0.5) == "test_auroc"
    assert metric(test_auroc=0.5, test_accuracy=0.5, test_loss=1.0) == "test_accuracy"
