"""Which cells a comparison has, and how they are named."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

import lossreg
from lossreg.comparison.cells import expand, seeds_from
from lossreg.comparison.naming import cell_name, find_cell, make_cells
from lossreg.comparison.question import question_of
from lossreg.registry.registries import default
from lossreg.run_spec import RunSpec
from tests.table import for_each


def cells(
    parameters: Mapping[str, Any] | None = None, *, pairs: bool = False, **choices: Any
) -> tuple[list[RunSpec], list[str]]:
    """The cells of these choices, and what is said aloud."""
    return expand(question_of({**choices, **(parameters or {})}, None, pairs=pairs), default)


def labels(**choices: Any) -> list[str]:
    """The labels of the cells of these choices."""
    specs, _ = cells(**choices)
    return [cell.label for cell in make_cells(specs, [{}] * len(specs))]


def test_all_combinations_are_cells() -> None:
    """Two losses and two numbers of epochs are four cells."""
    specs, _ = cells(loss=["dice", "cross_entropy"], epochs=[1, 2])
    assert [(str(spec.loss), spec.epochs) for spec in specs] == [
        ("dice", 1), ("dice", 2), ("cross_entropy", 1), ("cross_entropy", 2),
    ]  # fmt: skip


def test_pairs_go_together() -> None:
    """With pairs, the first goes with the first; what is one value goes with all."""
    specs, _ = cells(pairs=True, loss=["dice", "cross_entropy"], epochs=[1, 2], model="mlp")
    assert [(str(spec.loss), spec.epochs, str(spec.model)) for spec in specs] == [
        ("dice", 1, "mlp"), ("cross_entropy", 2, "mlp"),
    ]  # fmt: skip


def test_pairs_of_unequal_lists_are_an_error() -> None:
    """The message names both lists and their lengths."""
    with pytest.raises(lossreg.ConfigError, match="of one length, but loss has 2, epochs has 3"):
        cells(pairs=True, loss=["dice", "cross_entropy"], epochs=[1, 2, 3])


def test_a_parameter_is_for_the_cells_that_have_it() -> None:
    """Adam has no momentum: its cell is there once, without one, and that is said."""
    specs, notes = cells({"optimizer.momentum": [0.0, 0.5]}, optimizer=["sgd", "adam"])
    assert [str(spec.optimizer) for spec in specs] == ["sgd(momentum=0.0)", "sgd(momentum=0.5)", "adam"]
    assert len(notes) == 1
    assert "adam has no parameter 'momentum'" in notes[0]


def test_a_parameter_that_fits_no_cell_is_an_error() -> None:
    """As in one run, with what was probably meant."""
    with pytest.raises(lossreg.UnknownParameterError, match=r"sgd has no parameter 'momentun'.*'momentum'"):
        cells({"optimizer.momentun": 0.5}, optimizer="sgd")


def test_a_parameter_of_a_scheduler_is_for_the_cells_that_have_one() -> None:
    """Without a scheduler there is nothing to set."""
    specs, notes = cells({"scheduler.step_size": [3]}, scheduler=["none", "step_lr"])
    assert [str(spec.scheduler) for spec in specs] == ["None", "step_lr(step_size=3)"]
    assert "without a scheduler" in notes[0]


@for_each(
    ("choices", "message"),
    [
        ({"loss": []}, "loss is an empty list"),
        ({"loss": ["dice", "dice"]}, "loss dice is given twice"),
        ({"epochs": list(range(1, 200)), "batch_size": list(range(1, 200))}, "39,601 cells with 3 seeds"),
        ({"los": "dice"}, "no key 'los'. Did you mean 'loss'"),
        ({"optimizer.": 1}, "no key 'optimizer.'"),
        ({"loss": print}, "is a Python object"),
        ({"seed": [3, 3]}, "a seed is given twice"),
    ],
)
def test_nonsense_is_refused(choices: dict[str, Any], message: str) -> None:
    """An error of one line that names the list."""
    with pytest.raises(lossreg.ConfigError, match=message):
        cells(**choices)


@for_each("count", [0, -1, True, 1.5])
def test_a_cell_has_a_seed_or_more(count: Any) -> None:
    """Zero seeds are refused."""
    with pytest.raises(lossreg.ConfigError, match="seeds"):
        seeds_from([], count)


def test_seeds_are_named_or_counted() -> None:
    """Both at once contradict each other."""
    with pytest.raises(lossreg.ConfigError, match="leave one of the two out"):
        seeds_from([1, 5], 3)


def test_a_label_has_only_what_differs() -> None:
    """The model and a rate that are the same for all are in no label."""
    found = labels(loss=["dice", "dice(smooth=1)"], optimizer="sgd(lr=0.1)", model="mlp", epochs=[1, 2])
    assert found == [
        "dice, epochs=1", "dice, epochs=2", "dice(smooth=1), epochs=1", "dice(smooth=1), epochs=2",
    ]  # fmt: skip


def test_a_default_is_shown_where_others_set_the_parameter() -> None:
    """`sgd` beside `sgd(lr=0.1)` has the default rate in its label."""
    specs, _ = cells(optimizer=["sgd", "sgd(lr=0.1)"])
    found = make_cells(specs, [{"optimizer": {"lr": 0.01}}, {"optimizer": {"lr": 0.1}}])
    assert [cell.label for cell in found] == ["sgd(lr=0.01)", "sgd(lr=0.1)"]
    assert found[0].differs == {"optimizer.lr": "0.01"}


def test_a_name_stays_when_choices_are_added() -> None:
    """The directory of a cell does not depend on the other cells, nor on the seeds."""
    (one, *_), _ = cells(loss=["dice", "cross_entropy"])
    (same, *_), _ = cells(loss=["dice", "cross_entropy", "mse"], seed=[4, 5])
    assert cell_name(one) == cell_name(same)


def test_names_of_different_cells_differ() -> None:
    """Also where loss and optimizer are the same."""
    specs, _ = cells(loss="dice", epochs=[1, 2], batch_size=[16, 32])
    assert len({cell_name(spec) for spec in specs}) == 4


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("sgd(lr=0.1), epochs=1", "sgd(lr=0.1), epochs=1"),
        ("adam, epochs=2", "adam(lr=0.1), epochs=2"),
        ("optimizer=sgd, epochs=2", "sgd(lr=0.1), epochs=2"),
    ],
)
def test_a_baseline_is_found_by_a_part_of_its_label(text: str, label: str) -> None:
    """A part that only one cell has is enough."""
    specs, _ = cells({"optimizer.lr": [0.1, 0.2]}, optimizer=["sgd", "adam"], epochs=[1, 2])
    found = make_cells(specs, [{}] * len(specs))
    narrowed = [cell for cell in found if "0.2" not in cell.label]
    assert find_cell(text, narrowed).label == label


@pytest.mark.parametrize(
    ("text", "message"), [("adam", "is 2 cells"), ("rmsprop", "is not a cell"), ("", "not a cell")]
)
def test_a_baseline_is_one_cell(text: str, message: str) -> None:
    """None and several are errors that list the cells."""
    specs, _ = cells(optimizer=["sgd", "adam"], epochs=[1, 2])
    with pytest.raises(lossreg.ConfigError, match=message):
        find_cell(text, make_cells(specs, [{}] * len(specs)))
