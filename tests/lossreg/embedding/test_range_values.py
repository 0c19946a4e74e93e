"""Values of ranges as they stand in texts, what a study calls ranges, and whether losses fit the data's task."""

from __future__ import annotations

import re
from fractions import Fraction
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from lossreg.embedding.range_text import read_template
from lossreg.embedding.ranges import Choices, Template
from lossreg.embedding.search_space import SearchSpace
from lossreg.registry.registries import default
from tests.table import for_each

PAGE = Path(__file__).parents[3] / "docs" / "searching.md"
DIABETES = lossreg.Data(
    (torch.zeros(8, 3), torch.zeros(8, 1)), (torch.zeros(4, 3), torch.zeros(4, 1)), "regression", (3,), out_features=1
)


def text_of(written: str, value: float) -> str:
    """What stands in the text where a study takes a value."""
    return read_template(written, "x").filled(lambda _: value)


@for_each(("low", "high", "step"), [
    ("0", "0.4", "0.1"), ("0.1", "0.7", "0.2"), ("-0.3", "0.3", "0.1"), ("1e-5", "1e-4", "1e-5"), ("0", "3", "0.3"),
    ("0.05", "0.95", "0.15"), ("2", "10", "4"),
])  # fmt: skip
def test_numbers_of_a_grid_are_the_decimals_of_it(low: str, high: str, step: str) -> None:
    """The float nearest to the exact number, inside both ends, though `low + k * step` is off in its last digits."""
    count = (Fraction(high) - Fraction(low)) / Fraction(step)
    for place in range(int(count) + 1):
        drawn = float(low) + place * float(step)  # as Optuna computes it
        got = text_of(f"quniform({low}, {high}, {step})", drawn)
        assert got == repr(float(Fraction(low) + place * Fraction(step)))
        assert float(low) <= float(got) <= float(high)


@for_each(("written", "value", "text"), [
    ("quniform(0, 0.4, 0.1)", 0.30000000000000004, "0.3"),
    ("quniform(0, 0.3, 0.1)", 0.30000000000000004, "0.3"),  # not above the end
    ("quniform(0, 0.4, 0.1)", -1e-17, "0.0"),
    ("uniform(0, 1)", 0.1 + 0.2, "0.30000000000000004"),  # no grid: the number itself
    ("randint(1, 5)", 3, "3"),
])  # fmt: skip
def test_a_value_in_a_text(written: str, value: float, text: str) -> None:
    """Only what is on a grid is brought to it."""
    assert text_of(written, value) == text


def names(template: Template) -> list[str]:
    """The names of all ranges."""
    found = []
    for one in template.ranges:
        found.append(one.name)
        for option in one.options if isinstance(one, Choices) else ():
            found += names(option)
    return found


def test_the_names_on_the_page_are_those_of_a_study() -> None:
    """Each row of its table, with `RANGE` a range, also of a component that stands there twice."""
    rows = re.findall(r"(?m)^\| `(\w+)=\"(.*)\"` \| (.*) \|$", PAGE.read_text(encoding="utf-8"))
    assert any("adamw_2" in said for _, _, said in rows)
    for setting, text, said in rows:
        written = [word for word in re.findall(r"`([^`]+)`", said) if word.split(".")[0] == setting]
        assert written == names(read_template(text.replace("RANGE", "uniform(0, 1)"), setting))


@for_each(("settings", "task", "said"), [
    ({"loss": "choice(l1, dice)"}, "regression", "loss='choice(l1, dice)' allows 'dice': the loss dice does not "),
    ({"loss": "choice(l1, dice)", "data": DIABETES}, None, "allows 'dice': the loss dice does not fit a regression"),
    ({"loss": "choice(bce_with_logits, cross_entropy(label_smoothing=uniform(0, 1)))"}, "multilabel",
     "the loss takes class indices, but the targets are a 0 or 1 for each class"),
])  # fmt: skip
def test_a_loss_that_does_not_fit_the_task_is_named(settings: dict[str, Any], task: Any, said: str) -> None:
    """By what it takes, before there is a trial."""
    with pytest.raises(lossreg.ConfigError) as told:
        SearchSpace(settings).check(default, task)
    assert said in str(told.value)


@for_each(("settings", "task"), [
    ({"loss": "choice(l1, dice)"}, "classification"),
    ({"loss": "choice(l1, dice)"}, None),  # the data decide
    ({"loss": "choice(l1, mse)", "data": DIABETES}, None),
    ({"loss": torch.nn.functional.l1_loss}, "regression"),
])  # fmt: skip
def test_a_loss_that_fits_or_may_fit_passes(settings: dict[str, Any], task: Any) -> None:
    """`l1` takes one-hot vectors of classes, too; what a loss of one's own takes is not known."""
    SearchSpace(settings).check(default, task)
