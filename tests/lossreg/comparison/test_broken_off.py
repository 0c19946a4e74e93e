"""Runs of a comparison that were broken off: from their last checkpoint to the result that they would have had."""

from __future__ import annotations

import json
import logging
import os
import subprocess
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lossreg
from lossreg.comparison.worker import train
from lossreg.training.record.directory import RunDirectory
from tests.conftest import Command

DYING = """
import os, pathlib, signal, torch, lossreg
from torch.nn.functional import cross_entropy

calls = []

@lossreg.losses.register("dying", input="logits", target="index")
def dying(input, target):
    calls.append(1)
    if len(calls) == 24 and "DIES" in os.environ:
        os.kill(os.getpid(), signal.SIGKILL)
    return cross_entropy(input, target)
"""
CELLS = (
    "compare", "-p", "./dying.py", "--loss", "dying", "--model", "mlp", "--opt.lr", "0.1", "--epochs", "3",
    "--limit-train", "128", "--batch-size", "16", "--limit-test", "64", "--device", "cpu", "--seeds", "1",
    "--no-plots",
)  # fmt: skip
STEPS = 8  # of an epoch
SMALL: Mapping[str, Any] = {"model": "mlp", "limit_train": 128, "limit_test": 64, "device": "cpu"}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of the comparisons."""
    place = tmp_path_factory.mktemp("broken_off")
    (place / "dying.py").write_text(DYING)
    return place


def compared(python: str, folder: Path, *more: str, dies: bool = False) -> subprocess.CompletedProcess[str]:
    """A comparison of one cell, whose process is killed in the second epoch, or not."""
    environment = {**os.environ, **({"DIES": "1"} if dies else {})}
    command = [python, "-m", "lossreg", *CELLS, *more]
    return subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)


def unheard(kind: str, value: object) -> None:
    """What a job says, to nothing that listens."""
    del kind, value


def rows(run: Path) -> list[dict[str, Any]]:
    """Its metrics.jsonl, without what the clock says."""
    found = map(json.loads, (run / "metrics.jsonl").read_text().splitlines())
    return [{key: row[key] for key in row if key not in ("seconds", "samples_per_second")} for row in found]


def test_a_run_that_was_killed_goes_on_to_the_same_result(warm_python: str, folder: Path) -> None:
    """From its last checkpoint, which `--checkpoint-every` decides: weights and rows are those of a run in one piece.

    What decides the checkpoints may be another when it goes on, since it decides nothing else.
    """
    killed = compared(warm_python, folder, "--out", "killed", "--checkpoint-every", "3s", "--keep", "1", dies=True)
    assert (killed.returncode, "SIGKILL" in killed.stdout) == (1, True), killed.stderr
    (run,) = (folder / "killed").glob("*-seed0")
    assert len(list((run / "checkpoints").iterdir())) == 1
    again = compared(warm_python, folder, "--out", "killed", "--checkpoint-every", "2", "--keep", "3")
    assert again.returncode == 0, again.stderr
    assert "runs: 1, " in again.stderr
    assert ", 1 from its last checkpoint; files in " in again.stderr
    whole = compared(warm_python, folder, "--out", "whole")
    assert whole.returncode == 0, whole.stderr
    (expected,) = (folder / "whole").glob("*-seed0")
    (resumed,) = json.loads((run / "run.json").read_text())["resumed"]
    assert STEPS < resumed["step"] < 3 * STEPS
    assert resumed["step"] % 3 == 0
    weights = load_file(expected / "model.safetensors")
    found = load_file(run / "model.safetensors")
    assert found.keys() == weights.keys()
    assert all(torch.equal(found[name], value) for name, value in weights.items())
    assert rows(run) == rows(expected)
    assert run.name == expected.name


def test_what_cannot_go_on_begins_anew(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """A run whose checkpoints are all damaged is trained from its first step, and that is said."""
    spec = lossreg.run(**SMALL, epochs=1, out=tmp_path / "run", quiet=True).spec
    (state,) = (tmp_path / "run" / "checkpoints").glob("*/state.json")
    state.write_bytes(state.read_bytes()[:-1])
    caplog.set_level(logging.WARNING, "lossreg")
    train(spec, tmp_path / "run", unheard, plots=False, goes_on=True)
    assert "cannot go on, and begins anew: no checkpoint in" in caplog.text
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (record["status"], record["resumed"]) == ("finished", [])


def test_a_run_waits_for_the_last_words_of_its_process_before(tmp_path: Path) -> None:
    """What a comparison that was killed has left may still be writing its checkpoint when the next one begins."""
    stopped = lossreg.run(**SMALL, epochs=2, max_steps=1, out=tmp_path / "run", quiet=True)
    other = RunDirectory.reopen(tmp_path / "run")
    ended = threading.Event()

    def end() -> None:
        ended.set()
        other.close()

    timer = threading.Timer(0.5, end)
    timer.start()
    spec = lossreg.RunSpec(**{**dict(stopped.spec.items()), "max_steps": None})
    train(spec, tmp_path / "run", unheard, plots=False, goes_on=True)
    timer.join()
    assert ended.is_set()
    assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize(("option", "values"), [("--keep", "12"), ("--checkpoint-every", "12"), ("--best", "ab")])
def test_checkpoints_are_those_of_all_cells(lossreg_command: Command, option: str, values: str) -> None:
    """What decides nothing but the checkpoints makes no cells."""
    words = ["test_loss", "test_accuracy"] if option == "--best" else [*values]
    outcome = lossreg_command("compare", option, words[0], option, words[1])
    assert outcome.code == 2
    assert outcome.err.splitlines()[-1] == (
        f"lossreg: error: {option} has 2 values ({', '.join(words)}), and decides nothing of a run but its "
        "checkpoints: cells that differ in it would be the same; give it once, for all cells"
    )
    assert not list(Path.cwd().iterdir())


@pytest.mark.parametrize("command", ["compare", "noise"])
@pytest.mark.parametrize("option", ["--resume", "--override"])
def test_a_comparison_goes_on_by_its_directory(lossreg_command: Command, command: str, option: str) -> None:
    """The options by which a run goes on are refused with what to do."""
    outcome = lossreg_command(command, option, "runs/first")
    assert outcome.code == 2
    assert f"{option} belongs to run: a comparison that was broken off goes on" in outcome.err
    assert "called again with the same --out" in outcome.err


def test_in_python_too(tmp_path: Path) -> None:
    """`resume` is no argument of `compare`, and the error says why."""
    with pytest.raises(lossreg.ConfigError, match=r"no key 'resume'\. A comparison that was broken off goes on if"):
        lossreg.compare(resume=tmp_path)


def test_limits_are_cells(tmp_path: Path) -> None:
    """`max_steps` and `max_time` may be lists: each run ends by its own, and counts as done."""
    comparison = lossreg.compare(
        **SMALL, batch_size=16, max_steps=[3, 5], max_time="1h", keep=1, best="test_loss", epochs=1, seeds=1,
        out=tmp_path / "limits", quiet=True,
    )  # fmt: skip
    assert comparison.is_whole
    done = {cell.label: json.loads((tmp_path / "limits" / cell.runs[0].directory / "run.json").read_text())
            for cell in comparison.cells}  # fmt: skip
    assert {label: (one["stopped_by"], one["steps_done"]) for label, one in done.items()} == {
        "max_steps=3": ("max_steps", 3),
        "max_steps=5": ("max_steps", 5),
    }
