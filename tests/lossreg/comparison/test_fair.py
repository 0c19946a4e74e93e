"""A rate for each cell, chosen with the same budget on the validation split."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

import lossreg
from lossreg.comparison.fair import rates_around
from tests.conftest import Command

SMALL = (
    "--model",
    "mlp",
    "--limit-train",
    "200",
    "--limit-test",
    "50",
    "--epochs",
    "1",
    "--seeds",
    "2",
    "--quiet",
    "--no-plots",
)


def test_rates_have_equal_ratios_around_the_cells_own() -> None:
    """Five rates: the own one in the middle, a tenth of it and ten times as much at the ends, √10 between."""
    assert rates_around(0.02, 5) == pytest.approx([0.002, 0.02 / 10**0.5, 0.02, 0.02 * 10**0.5, 0.2], rel=2e-3)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> lossreg.Comparison:
    """Two optimizers with three rates each."""
    return lossreg.compare(
        optimizer=["sgd", "adam"], loss="cross_entropy", model="mlp", epochs=2, limit_train=300, limit_test=100,
        validate=0.2, seeds=2, fair=3, out=tmp_path_factory.mktemp("fair") / "out", quiet=True,
    )  # fmt: skip


def test_each_cell_has_its_best_rate(done: lossreg.Comparison) -> None:
    """Of the trials in the directory, the cell has the one with the greatest accuracy of the validation split."""
    records = [json.loads(file.read_text()) for file in done.directory.glob("*/run.json")]
    for name, own in (("sgd", 0.01), ("adam", 0.001)):
        tried = {
            record["components"]["optimizer"]["params"]["lr"]: record["metrics"]["validation_accuracy"]
            for record in records
            if record["spec"]["optimizer"].startswith(f"builtin.{name}(") and record["spec"]["seed"] == 0
        }
        assert sorted(tried) == pytest.approx([own / 10, own, own * 10])
        (cell,) = [cell for cell in done.cells if cell.label.startswith(name)]
        chosen = dict(cell.cell.spec.optimizer.params)["lr"]
        assert tried[chosen] == max(tried.values())


def test_the_trial_with_the_chosen_rate_is_the_first_run(done: lossreg.Comparison) -> None:
    """Two cells with three trials and one more seed each are eight runs, and no more directories."""
    assert len(list(done.directory.glob("*/run.json"))) == 2 * 3 + 2


def test_the_cost_is_told(done: lossreg.Comparison) -> None:
    """A note for each cell says which rates were tried and how long that took; compare.json has it as numbers."""
    rates = json.loads((done.directory / "compare.json").read_text())["rates"]
    assert [rate["label"] for rate in rates] == ["sgd", "adam"]
    assert all(rate["seconds"] > 0 and len(rate["tried"]) == 3 for rate in rates)
    assert sum("3 trials took" in note for note in done.notes) == 2


def test_a_fair_comparison_goes_on(lossreg_command: Command) -> None:
    """Called again, nothing is run; without --fair the directory is another comparison's."""
    arguments = ("compare", "--opt", "sgd", "--opt", "adam", "--loss", "dice", "--validate", "0.2", *SMALL)
    lossreg_command(*arguments, "--fair", "2", "--out", "out")
    before = {file: file.stat().st_mtime_ns for file in Path("out").glob("*/run.json")}
    again = lossreg_command(*arguments, "--fair", "2", "--out", "out")
    without = lossreg_command(*arguments, "--out", "out")
    assert again.code == 0, again.err
    assert {file: file.stat().st_mtime_ns for file in Path("out").glob("*/run.json")} == before
    assert (without.code, "was run with --fair 2" in without.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--fair", "3"), "add --validate 0.1"),
        (("--fair", "1", "--validate", "0.1"), "from 2 to 100"),
        (("--fair", "3", "--validate", "0.1", "--opt", "adafactor(lr=0.0)"), "no learning rate of its own"),
    ],
)
def test_what_has_no_fair_rate_is_refused(arguments: tuple[str, ...], message: str, lossreg_command: Command) -> None:
    """Exit code 2, one message, and nothing is written."""
    outcome = lossreg_command("compare", "--loss", "dice", *SMALL, *arguments)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err
    assert list(Path().iterdir()) == []
