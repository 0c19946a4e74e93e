"""What runs differ in: which of them belong together, and what each is called."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossreg.past_runs.cells import cells_of
from lossreg.training.record.reading import read_run
from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.lossreg.past_runs.conftest import PastRunMaker


def labels(past_run: PastRunMaker, *specs: dict[str, Any]) -> list[str]:
    """The labels of runs with these settings."""
    runs = [read_run(past_run(f"run{number}", **spec)) for number, spec in enumerate(specs)]
    return [cell.label for cell in cells_of(runs)]


@for_each_apart(
    ("specs", "expected"),
    [
        ([{"loss": "builtin.dice"}, {"loss": "builtin.l1"}], ["dice", "l1"]),
        ([{"loss": "a.tversky"}, {"loss": "b.tversky"}], ["a.tversky", "b.tversky"]),
        ([{"optimizer": "builtin.sgd(lr=0.1)"}, {"optimizer": "builtin.sgd(lr=0.2)"}], ["sgd(lr=0.1)", "sgd(lr=0.2)"]),
        (
            [{"optimizer": "builtin.sgd(lr=0.1, momentum=0.5)"}, {"optimizer": "builtin.adam(lr=0.1)"}],
            ["sgd(momentum=0.5)", "adam"],
        ),
        (
            [
                {"optimizer": "builtin.sgd(lr=0.1)"},
                {"optimizer": "builtin.sgd(lr=0.2)"},
                {"optimizer": "builtin.adam(lr=0.1)"},
            ],
            ["sgd(lr=0.1)", "sgd(lr=0.2)", "adam(lr=0.1)"],
        ),
        (
            [
                {"loss": "x.f(a=1)", "optimizer": "x.g(a=1)"},
                {"loss": "x.f(a=2)", "optimizer": "x.g(a=2)"},
            ],
            ["f(a=1), g(a=1)", "f(a=2), g(a=2)"],
        ),
        ([{"scheduler": None}, {"scheduler": "builtin.cosine"}], ["no scheduler", "cosine"]),
        ([{"batch_size": 32}, {"batch_size": 64}], ["batch_size=32", "batch_size=64"]),
        ([{"loss": "builtin.dice", "epochs": 5}], ["dice, sgd(lr=0.1)"]),
        ([{"loss": "((( no spec"}, {"loss": "builtin.dice"}], ["((( no spec", "dice"]),
    ],
)
def test_a_label_is_what_differs(past_run: PastRunMaker, specs: list[dict[str, Any]], expected: list[str]) -> None:
    """A label holds what is not common to all runs, and nothing else."""
    assert labels(past_run, *specs) == expected


def test_a_default_that_is_written_out_is_no_difference(past_run: PastRunMaker) -> None:
    """Parameters are compared by their values in run.json, where one run wrote a default and the other did not."""
    built = {"components": {"optimizer": {"id": "builtin.sgd", "params": {"lr": 0.1, "momentum": 0.9}}}}
    first = past_run("first", facts=built, optimizer="builtin.sgd", seed=0)
    second = past_run("second", facts=built, optimizer="builtin.sgd(lr=0.1)", seed=1)
    (cell,) = cells_of([read_run(first), read_run(second)])
    assert [run.directory for run in cell.runs] == [first, second]


def test_a_setting_that_an_older_version_did_not_have_is_at_its_default(past_run: PastRunMaker) -> None:
    """A run without the setting and one with its default differ in nothing."""
    runs = [read_run(past_run("old")), read_run(past_run("new", batch_size=64, seed=1))]
    assert len(cells_of(runs)) == 1


def test_runs_that_differ_in_the_seed_are_one_group(past_run: PastRunMaker) -> None:
    """Seeds are sorted as numbers, and are in no label if all groups have the same."""
    runs = [read_run(past_run(f"{loss}{seed}", loss=loss, seed=seed)) for loss in ("x.a", "x.b") for seed in (10, 9)]
    assert [(cell.label, cell.seeds) for cell in cells_of(runs)] == [("a", ["9", "10"]), ("b", ["9", "10"])]


def test_seeds_that_are_not_the_same_are_told(past_run: PastRunMaker) -> None:
    """Two single runs that differ in the seed, too, say so."""
    assert labels(past_run, {"loss": "x.a", "seed": 1}, {"loss": "x.b", "seed": 2}) == ["a, seed 1", "b, seed 2"]


def test_runs_that_differ_in_nothing_are_named_by_their_directories(past_run: PastRunMaker) -> None:
    """A run and its repeat are two curves."""
    assert labels(past_run, {}, {}) == ["run0", "run1"]


def test_a_python_object_is_named_by_its_class(past_run: PastRunMaker) -> None:
    """What was an object is its class without the module."""
    first = past_run("first", facts={"objects": {"loss": "my.module.Focal"}}, loss=None)
    runs = [read_run(first), read_run(past_run("second"))]
    assert [cell.label for cell in cells_of(runs)] == ["Focal", "cross_entropy"]
