"""`lossreg compare` from the command line to its directory, in processes of its own."""

from __future__ import annotations

import csv
import json
import math
import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest
import scipy  # which imports its parts when they are first used
import torch
from safetensors.torch import load_file

import lossreg
from tests.conftest import Command

SMALL = (
    "--model",
    "mlp",
    "--limit-train",
    "200",
    "--limit-test",
    "100",
    "--epochs",
    "2",
    "--opt.lr",
    "0.1",
    "--quiet",
    "--no-plots",
)
TWO = ("compare", "--loss", "dice", "--loss", "cross_entropy", *SMALL)


def content(directory: Path) -> dict[str, Any]:
    """What is in compare.json."""
    found: dict[str, Any] = json.loads((directory / "compare.json").read_text())
    return found


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> lossreg.Comparison:
    """Two losses with three seeds and a validation split."""
    return lossreg.compare(
        loss=["dice", "cross_entropy"],
        optimizer="sgd(lr=0.1)",
        model="mlp",
        epochs=2,
        limit_train=300,
        limit_test=200,
        validate=0.2,
        seeds=3,
        target="validation_accuracy>=0.2",
        out=tmp_path_factory.mktemp("compare") / "done",
        quiet=True,
    )


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a comparison that is done: that of `TWO` with two seeds."""
    place = tmp_path_factory.mktemp("compare") / "whole"
    lossreg.compare(
        loss=["dice", "cross_entropy"], optimizer="sgd(lr=0.1)", model="mlp", limit_train=200, limit_test=100, epochs=2,
        seeds=2, out=place, quiet=True,
    )  # fmt: skip
    return place


@pytest.fixture
def copied(whole: Path, tmp_path: Path) -> Path:
    """A copy of it, `two` in the working directory."""
    return shutil.copytree(whole, tmp_path / "two")


def test_cells_are_run_directories(done: lossreg.Comparison) -> None:
    """Each seed of each cell has its run directory, and its run.json says what `lossreg run` would say."""
    runs = [run for cell in done.cells for run in cell.runs]
    assert len(runs) == 6
    for run in runs:
        record = json.loads((done.directory / run.directory / "run.json").read_text())
        assert (record["status"], record["spec"]["seed"], record["repeatable"]) == ("finished", run.seed, True)
        assert run.final["test_accuracy"] == record["metrics"]["test_accuracy"]


def test_a_cell_is_what_run_gives(done: lossreg.Comparison, tmp_path: Path) -> None:
    """The weights of a cell's run are, bit for bit, those of the same run alone."""
    run = done["dice"].runs[1]
    threads = torch.get_num_threads()
    torch.set_num_threads(json.loads((done.directory / run.directory / "run.json").read_text())["threads"])
    try:
        alone = lossreg.run(
            loss="dice", optimizer="sgd(lr=0.1)", model="mlp", epochs=2, limit_train=300, limit_test=200, validate=0.2,
            seed=run.seed, out=tmp_path / "alone", quiet=True,
        )  # fmt: skip
    finally:
        torch.set_num_threads(threads)
    weights = load_file(done.directory / run.directory / "model.safetensors")
    assert all(torch.equal(value, alone.model.state_dict()[name]) for name, value in weights.items())


def test_the_summary_is_of_the_runs(done: lossreg.Comparison) -> None:
    """Mean and deviation over seeds, of the final values in the run directories."""
    for cell in done.cells:
        values = [run.final["test_loss"] for run in cell.runs]
        found = cell.summary["test_loss"]
        mean = sum(values) / 3
        assert found.mean == pytest.approx(mean)
        assert found.sd == pytest.approx(math.sqrt(sum((value - mean) ** 2 for value in values) / 2))


def test_the_best_value_is_of_any_epoch(done: lossreg.Comparison) -> None:
    """The best loss of the validation split is the smallest of its epochs."""
    run = done["dice"].runs[0]
    lines = (done.directory / run.directory / "metrics.jsonl").read_text().splitlines()
    losses = [row["validation_loss"] for row in map(json.loads, lines) if row["kind"] == "epoch"]
    assert run.best["validation_loss"] == min(losses)


def test_the_best_cell_is_chosen_on_the_validation_split(done: lossreg.Comparison) -> None:
    """The first cell has the greatest mean accuracy there; what is compared is the test split's, read once."""
    means = [cell.summary["validation_accuracy"].mean for cell in done.cells]
    assert means == sorted(means, reverse=True)
    assert (done.chosen_by, done.metric, done.reference) == (
        "validation_accuracy",
        "test_accuracy",
        done.cells[0].label,
    )
    assert any("Chosen on the validation split" in note for note in done.notes)


def test_the_difference_is_paired_by_seed(done: lossreg.Comparison) -> None:
    """Its interval is that of scipy's paired t-test on the final values of the runs."""
    best, other = done.cells
    ours = [run.final["test_accuracy"] for run in other.runs]
    theirs = [run.final["test_accuracy"] for run in best.runs]
    reference = scipy.stats.ttest_rel(ours, theirs).confidence_interval(0.95)
    assert best.difference is None
    assert other.difference is not None
    assert other.difference.low == pytest.approx(reference.low)
    assert other.difference.high == pytest.approx(reference.high)


def test_epochs_to_the_target_are_counted(done: lossreg.Comparison) -> None:
    """The first epoch whose accuracy is enough, and the seconds of training until then; no run is ended by it."""
    for cell in done.cells:
        for run in cell.runs:
            lines = (done.directory / run.directory / "metrics.jsonl").read_text().splitlines()
            rows = [row for row in map(json.loads, lines) if row["kind"] == "epoch"]
            reached = next((row["epoch"] for row in rows if row["validation_accuracy"] >= 0.2), None)
            assert run.target_epochs == (None if reached is None else reached + 1)
            if reached is not None:
                assert run.target_seconds == pytest.approx(sum(row["seconds"] for row in rows[: reached + 1]))
            assert run.epochs == 2


def test_the_files_hold_the_comparison(done: lossreg.Comparison) -> None:
    """compare.json is what `to_json` gives, and compare.csv has a row for each cell."""
    found = content(done.directory)
    assert (found["format"], found["status"]) == (1, "finished")
    assert found["cells"] == json.loads(json.dumps(done.to_json()))["cells"]
    assert found["verdict"]["sentence"] == done.verdict.sentence
    rows = list(csv.DictReader((done.directory / "compare.csv").read_text().splitlines()))
    assert [row["loss"] for row in rows] == [cell.label for cell in done.cells]
    assert float(rows[0]["test_accuracy_mean"]) == pytest.approx(done.cells[0].summary["test_accuracy"].mean)


def test_the_same_seed_has_the_same_initial_weights(tmp_path: Path) -> None:
    """With a rate that changes nothing, the weights of two losses and two optimizers are equal, bit for bit."""
    comparison = lossreg.compare(
        loss=["dice", "cross_entropy"],
        optimizer=["sgd(lr=1e-30)", "adamw(lr=1e-30, weight_decay=0)"],
        model="mlp",
        epochs=1,
        seeds=1,
        seed=3,
        limit_train=64,
        limit_test=10,
        out=tmp_path / "same",
        quiet=True,
    )
    first, *others = [
        load_file(comparison.directory / cell.runs[0].directory / "model.safetensors") for cell in comparison.cells
    ]
    torch.manual_seed(3)
    expected = lossreg.models.build("mlp", in_features=784, out_features=10).state_dict()
    assert len(others) == 3
    for weights in (first, *others):
        assert all(torch.equal(value, expected[name]) for name, value in weights.items())


def test_a_finished_comparison_is_left_alone(copied: Path, lossreg_command: Command) -> None:
    """Called again, nothing is run: every run.json is the same file, and the answer the same."""
    before = {file: file.stat().st_mtime_ns for file in copied.glob("*/run.json")}
    verdict = content(copied)["verdict"]
    outcome = lossreg_command(*TWO, "--seeds", "2", "--out", "two")
    assert (outcome.code, len(before)) == (0, 4)
    assert {file: file.stat().st_mtime_ns for file in copied.glob("*/run.json")} == before
    assert content(copied)["verdict"] == verdict
    assert verdict["sentence"] in outcome.out


def test_seeds_and_choices_can_be_added(copied: Path, lossreg_command: Command) -> None:
    """One more seed and one more loss: what is there stays, the rest is run."""
    before = {file: file.stat().st_mtime_ns for file in copied.glob("*/run.json")}
    outcome = lossreg_command(*TWO, "--loss", "mse", "--seeds", "3", "--out", "two")
    after = {file: file.stat().st_mtime_ns for file in copied.glob("*/run.json")}
    assert outcome.code == 0
    assert (len(before), len(after)) == (4, 9)
    assert {file: after[file] for file in before} == before


def test_an_unfinished_run_is_run_again(copied: Path, lossreg_command: Command) -> None:
    """A run that was killed before its first checkpoint is run anew, and nothing of it is left."""
    file = next(copied.glob("dice*/run.json"))
    shutil.rmtree(file.parent / "checkpoints")
    record = json.loads(file.read_text())
    file.write_text(json.dumps({**record, "status": "running", "metrics": None}))
    (file.parent / "left.txt").touch()
    outcome = lossreg_command(*TWO, "--seeds", "2", "--out", "two")
    assert outcome.code == 0
    assert json.loads(file.read_text())["status"] == "finished"
    assert not (file.parent / "left.txt").exists()


def test_another_comparison_in_the_directory_is_refused(copied: Path, lossreg_command: Command) -> None:
    """Its cells are named, and nothing is changed."""
    before = (copied / "compare.json").read_bytes()
    outcome = lossreg_command("compare", "--loss", "mse", *SMALL, "--seeds", "2", "--out", "two")
    assert outcome.code == 2
    assert "is another comparison" in outcome.err
    assert "dice" in outcome.err
    assert (copied / "compare.json").read_bytes() == before


@pytest.mark.usefixtures("copied")
def test_fewer_seeds_than_there_are_are_refused(lossreg_command: Command) -> None:
    """They would leave runs out of the table."""
    outcome = lossreg_command(*TWO, "--seeds", "1", "--out", "two")
    assert (outcome.code, "seeds that this comparison has not (1)" in outcome.err) == (2, True)


def test_a_dry_run_shows_the_cells(lossreg_command: Command) -> None:
    """Their number, what they differ in, a line each; nothing is written."""
    outcome = lossreg_command(*TWO, "--epochs", "3", "--dry-run")
    assert outcome.code == 0
    assert outcome.out.splitlines() == [
        "4 cells, 3 seeds each (0, 1, 2): 12 runs",
        "they differ in loss, epochs",
        "   1  dice, epochs=2",
        "   2  dice, epochs=3",
        "   3  cross_entropy, epochs=2",
        "   4  cross_entropy, epochs=3",
    ]
    assert list(Path().iterdir()) == []


def test_a_file_can_hold_a_comparison(tmp_path: Path, lossreg_command: Command) -> None:
    """Lists in its table [compare], parameters too; options replace them."""
    (tmp_path / "file.toml").write_text(
        'model = "mlp"\nepochs = 1\n[compare]\nloss = ["dice", "mse"]\n"optimizer.lr" = [0.1, 0.01]\nseeds = 2\n'
    )
    whole = lossreg_command("compare", "-c", "file.toml", "--dry-run")
    replaced = lossreg_command("compare", "-c", "file.toml", "--loss", "dice", "--dry-run")
    assert whole.out.splitlines()[0] == "4 cells, 2 seeds each (0, 1): 8 runs"
    assert "dice, sgd(lr=0.1)" in whole.out
    assert replaced.out.splitlines()[2:] == ["   1  sgd(lr=0.1)", "   2  sgd(lr=0.01)"]


def test_run_refuses_a_file_with_a_comparison(tmp_path: Path, lossreg_command: Command) -> None:
    """It says which command is meant."""
    (tmp_path / "file.toml").write_text('[compare]\nloss = ["dice", "mse"]\n')
    outcome = lossreg_command("run", "-c", "file.toml")
    assert (outcome.code, "lossreg compare -c file.toml" in outcome.err) == (2, True)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--seeds", "0"), "seeds (--seeds) is a whole number from 1"),
        (("--target", "test_accurracy>=0.9"), "test_accurracy"),
        (("--target", "test_accuracy"), "METRIC>=VALUE"),
        (("--validate", "0.1", "--target", "test_accuracy>=0.9"), "read once, at the end"),
        (("--jobs", "0"), "jobs (--jobs)"),
        (("--devices", "cpu"), "devices (--devices)"),
        (("--baseline", "rmsprop"), "is not a cell"),
        (("--loss", "l2"), "no loss named 'l2'"),
        (("--opt.rho", "1"), "no parameter 'rho'"),
        (("--data", "digits", "--data", "diabetes"), "cell "),
        (("--out", "file/below"), "cannot be used"),
        (("--out", "full"), "is not a comparison"),
        (("--out", "broken"), "is not a whole compare.json"),
    ],
)
def test_nonsense_is_one_message(
    arguments: tuple[str, ...], message: str, tmp_path: Path, lossreg_command: Command
) -> None:
    """Exit code 2, one message, and nothing is left."""
    (tmp_path / "file").touch()
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "letter.txt").touch()
    (tmp_path / "broken").mkdir()
    (tmp_path / "broken" / "compare.json").write_text('{"format": 1, "cells": [')
    before = sorted(tmp_path.rglob("*"))
    outcome = lossreg_command(*TWO, *arguments)
    assert outcome.code == 2, outcome.out
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert outcome.out == ""
    assert sorted(tmp_path.rglob("*")) == before


@pytest.mark.parametrize("damage", ['{"format": 2, "spec', "[" * 10_000, '{"format": 99}', "\x00"])
def test_a_damaged_run_is_one_message(damage: str, copied: Path, lossreg_command: Command) -> None:
    """A run.json that is cut off or hostile: exit code 2, with the directory to remove; compare.json stays."""
    file = next(copied.glob("dice*/run.json"))
    file.write_text(damage)
    before = (copied / "compare.json").read_bytes()
    outcome = lossreg_command(*TWO, "--seeds", "2", "--out", "two")
    assert outcome.code == 2
    assert f"remove {file.parent.absolute()} to have it run again" in outcome.err
    assert (copied / "compare.json").read_bytes() == before


def test_ctrl_c_keeps_everything(warm_python: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The command ends with 130; runs that began have their record, compare.json says so, and the next call goes on."""
    monkeypatch.chdir(tmp_path)
    arguments = [
        warm_python, "-m", "lossreg", "compare", "--loss", "dice", "--loss", "cross_entropy", "--model", "mlp",
        "--seeds", "1", "--epochs", "100000", "--limit-train", "64", "--limit-test", "10", "--out", "stopped",
    ]  # fmt: skip
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        for _ in range(1200):
            if len(list(Path("stopped").glob("*/metrics.jsonl"))) == min(2, os.cpu_count() or 1):
                break
            time.sleep(0.1)
        process.send_signal(signal.SIGINT)
        _, err = process.communicate(timeout=60)
    assert process.returncode == 130, err
    statuses = {json.loads(file.read_text())["status"] for file in Path("stopped").glob("*/run.json")}
    assert statuses == {"interrupted"}
    assert content(Path("stopped"))["status"] == "interrupted"
    assert not Path("stopped/.compare.lock").exists()
    assert "Traceback" not in err


def test_two_commands_do_not_share_a_directory(tmp_path: Path, lossreg_command: Command) -> None:
    """While one works on a directory, the other is told so."""
    fcntl = pytest.importorskip("fcntl")
    (tmp_path / "taken").mkdir()
    with (tmp_path / "taken" / ".compare.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        outcome = lossreg_command(*TWO, "--out", "taken")
    assert (outcome.code, "still running" in outcome.err) == (2, True)


def test_json_is_one_object(lossreg_command: Command) -> None:
    """What --json prints is what compare.json holds."""
    outcome = lossreg_command(*TWO, "--seeds", "1", "--out", "json", "--json")
    printed, kept = json.loads(outcome.out), content(Path("json"))
    assert printed["verdict"] == kept["verdict"]
    assert printed["cells"] == kept["cells"]


def test_noise_is_the_deviation_over_seeds(lossreg_command: Command) -> None:
    """The deviation of the runs, and the difference that so many seeds tell apart with a power of 80%."""
    outcome = lossreg_command("noise", "--loss", "dice", *SMALL, "--seeds", "3", "--out", "noise", "--json")
    found = json.loads(outcome.out)
    finals = [run["final"]["test_accuracy"] for run in found["cells"][0]["runs"]]
    sd = float(torch.tensor(finals, dtype=torch.float64).std())
    assert outcome.code == 0, outcome.err
    assert found["noise"]["sd"] == pytest.approx(sd)
    value = found["noise"]["detectable"]["10"]
    bound, shift = scipy.stats.t.ppf(0.975, 9), value / (sd * math.sqrt(2)) * math.sqrt(10)
    assert scipy.stats.nct.sf(bound, 9, shift) == pytest.approx(0.8, abs=1e-3)


def test_noise_is_about_one_run(lossreg_command: Command) -> None:
    """Lists are for compare."""
    outcome = lossreg_command("noise", "--loss", "dice", "--loss", "mse")
    assert (outcome.code, "lossreg compare takes lists" in outcome.err) == (2, True)


def test_several_processes_are_refused(lossreg_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Under torchrun each process would start the whole comparison."""
    for name, value in {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "localhost", "MASTER_PORT": "1"}.items():
        monkeypatch.setenv(name, value)
    outcome = lossreg_command(*TWO)
    assert (outcome.code, "without torchrun" in outcome.err) == (2, True)


@pytest.mark.parametrize("command", ["list", "compare"])
def test_help_and_list_import_nothing_heavy(command: str) -> None:
    """Neither the listing nor the help of compare imports torch, scipy, ray or what draws."""
    words = ["list"] if command == "list" else ["compare", "--help"]
    code = (
        "import sys\nfrom lossreg.cli.main import main\n"
        f"try:\n    main({words!r})\nexcept SystemExit:\n    pass\n"
        "heavy = {'torch', 'scipy', 'ray', 'matplotlib', 'rich', 'jinja2', 'numpy'} & set(sys.modules)\n"
        "sys.exit(f'imported: {heavy}' if heavy else 0)"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert (result.returncode, result.stderr) == (0, "")
