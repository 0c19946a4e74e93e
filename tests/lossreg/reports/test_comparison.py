"""What `lossreg compare` found is on the page, as far as compare.json can be read."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lossreg.reports.conftest import page
from tests.lossreg.reports.test_page import Elements, table_of

if TYPE_CHECKING:
    from tests.conftest import Command

FOUND: dict[str, Any] = {
    "format": 1,
    "status": "finished",
    "metric": "test_accuracy",
    "better": "greater",
    "chosen_by": "test_accuracy",
    "reference": "the dice",
    "confidence": 0.95,
    "target": None,
    "differs": ["loss"],
    "cells": [
        {
            "name": "dice", "label": "the dice", "differs": {"loss": "builtin.dice"},
            "runs": [{"seed": seed, "directory": f"dice-{seed}", "status": "finished"} for seed in range(3)],
            "summary": {"test_accuracy": {"mean": 0.625, "sd": 0.125, "n": 3}},
            "difference": None,
        },
        {
            "name": "l1", "label": "the l1", "differs": {"loss": "builtin.l1"},
            "runs": [
                {"seed": 0, "directory": "l1-0", "status": "finished"},
                {"seed": 1, "directory": "l1-1", "status": "finished"},
                {"seed": 2, "directory": "l1-2", "status": "failed", "reason": "it broke"},
            ],
            "summary": {"test_accuracy": {"mean": 0.375, "sd": 0.125, "n": 3}},
            "difference": {
                "mean": -0.25, "sd": 0.05, "low": -0.375, "high": -0.125, "n": 2, "wins": 0, "ties": 0, "losses": 2,
                "without": None, "seeds_needed": 3,
            },
        },
    ],
    "notes": ["Chosen on the test split."],
    "verdict": {"sentence": "the dice is the best.", "best": "the dice", "told_apart": True, "seeds_needed": None},
}  # fmt: skip


def found(grid: Path, content: Any = FOUND) -> Elements:
    """The page on a grid with a compare.json."""
    (grid / "compare.json").write_text(json.dumps(content))
    return Elements(page(grid))


def with_difference(**changes: Any) -> dict[str, Any]:
    """The comparison with another difference."""
    dice, l1 = FOUND["cells"]
    return {**FOUND, "cells": [dice, {**l1, "difference": {**l1["difference"], **changes}}]}


def test_the_verdict_comes_first(grid: Path) -> None:
    """The sentence is at the top, and the cells have the labels of the comparison."""
    elements = found(grid)
    assert [one.text for one in elements.all("p", **{"class": "verdict"})] == ["the dice is the best."]
    assert [row[0] for row in table_of(elements, "Results")] == ["cell", "the dice", "the l1"]


def test_differences_have_their_intervals(grid: Path) -> None:
    """Mean and deviation, the paired difference, its interval, the seeds won, and what that says."""
    head, dice, l1 = table_of(found(grid), "Comparison")
    assert head == ["cell", "runs done", "test_accuracy", "difference", "95% interval", "seeds won", "verdict"]
    assert dice == ["the dice", "3 of 3", "0.6250 ± 0.1250", "–", "–", "–", "reference"]
    assert l1 == [
        "the l1", "2 of 3it broke", "0.3750 ± 0.1250", "−0.2500", "−0.3750 to −0.1250", "0 of 2", "worse",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "verdict"),
    [
        ({"low": 0.125, "high": 0.375}, "better"),
        ({"low": -0.125, "high": 0.375, "seeds_needed": 12}, "not told apartabout 12 seeds would tell"),
        ({"low": -0.125, "high": 0.0, "seeds_needed": None}, "not told apart"),
        ({"low": None, "high": None, "without": "one seed gives no interval"}, "no intervalone seed gives no interval"),
    ],
)
def test_only_an_interval_without_0_tells_cells_apart(grid: Path, changes: dict[str, Any], verdict: str) -> None:
    """Better and worse are said only where the interval excludes 0."""
    assert table_of(found(grid, with_difference(**changes)), "Comparison")[2][-1] == verdict


def test_less_can_be_better(grid: Path) -> None:
    """By a loss, the cell with the smaller value is the better one."""
    assert table_of(found(grid, {**FOUND, "better": "smaller"}), "Comparison")[2][-1] == "better"


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2, "cells": []}', '{"format": 1, "cells": 3}', "[" * 100_000])
def test_a_broken_comparison_costs_only_itself(lossreg_command: Command, grid: Path, text: str) -> None:
    """The runs have their page, and warning and page say why there is no verdict."""
    (grid / "compare.json").write_text(text)
    outcome = lossreg_command("report", "grid")
    assert outcome.code == 0
    assert outcome.err.startswith("lossreg: warning: grid/compare.json is not a ")
    assert outcome.err.count("\n") == 1
    assert "its verdict is left out" in (grid / "report.html").read_text()


@pytest.mark.parametrize(
    "changes",
    [
        {"cells": [3, {}, {"label": 3}]}, {"verdict": []}, {"metric": {}, "reference": [], "confidence": "x"},
        {"notes": 3}, {"better": [], "chosen_by": 3},
        {"cells": [{"label": "a", "runs": 3, "summary": [], "difference": 1}]},
        {"cells": [{"label": "a", "runs": [3, {"directory": []}], "summary": {"test_accuracy": {"mean": "x"}}}]},
        {"cells": [{"label": "a", "difference": {"mean": [], "low": 10**400, "wins": "x", "n": {}}}]},
        {"cells": [{"label": "a", "difference": {"low": -1, "high": 1, "seeds_needed": "x"}}]},
        {"confidence": 1e400}, {"reference": "nobody"},
    ],
    ids=repr,
)  # fmt: skip
def test_wrong_fields_count_as_missing(grid: Path, changes: dict[str, Any]) -> None:
    """The page is made all the same."""
    assert len(table_of(found(grid, {**FOUND, **changes}), "Results")) == 3


def test_hostile_labels_are_texts(grid: Path) -> None:
    """Markup in labels, notes, reasons and the verdict adds nothing to the page."""
    text = "</p><script>alert(1)</script>"
    dice, l1 = FOUND["cells"]
    cells = [{**dice, "label": text}, {**l1, "label": f"{text} 2"}]
    hostile = {
        **FOUND,
        "cells": cells,
        "notes": [text],
        "verdict": {"sentence": text},
        "reference": text,
        "metric": text,
    }
    elements = found(grid, hostile)
    assert len(elements.all("script")) == 3 - 1
    assert [one.text for one in elements.all("p", **{"class": "verdict"})] == [text]
