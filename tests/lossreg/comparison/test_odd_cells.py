"""Cells of a person's own file, some of which fail: one comparison from the command line, looked at from all sides."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

ODD = """
import os, pathlib, signal, torch, lossreg
from torch.nn.functional import cross_entropy

class Seen(torch.utils.data.Dataset):
    def __len__(self):
        return 40
    def __getitem__(self, index):
        with open(f"order-{os.getpid()}.txt", "a") as file:
            file.write(f"{index} ")
        return torch.zeros(4) + index, index % 2

@lossreg.datasets.register("seen", model="mlp")
def seen():
    return lossreg.Data(Seen(), Seen(), task="classification", in_shape=(4,), num_classes=2)

calls = []

@lossreg.losses.register("grumpy", input="logits", target="index")
def grumpy(input, target):
    calls.append(1)
    if len(calls) > 12:
        raise RuntimeError("no more of this")
    return cross_entropy(input, target)

@lossreg.losses.register("dying", input="logits", target="index")
def dying(input, target):
    calls.append(1)
    if len(calls) > 12:
        os.kill(os.getpid(), signal.SIGKILL)
    return cross_entropy(input, target)
"""
LOSSES = ("dice", "cross_entropy", "grumpy", "dying")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The working directory of the comparison."""
    place = tmp_path_factory.mktemp("odd")
    (place / "odd.py").write_text(ODD)
    return place


@pytest.fixture(scope="module")
def ended(warm_python: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """How the comparison of four losses ended."""
    command = [
        warm_python, "-m", "lossreg", "compare", "-p", "./odd.py", "--data", "seen",
        *(word for loss in LOSSES for word in ("--loss", loss)),
        "--seeds", "1", "--epochs", "4", "--workers", "0", "--batch-size", "8", "--limit-test", "1", "--out", "cells",
    ]  # fmt: skip
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def runs(folder: Path, ended: subprocess.CompletedProcess[str]) -> dict[str, dict[str, Any]]:
    """Label -> its run in compare.json."""
    assert ended.returncode in (0, 1), ended.stderr
    content = json.loads((folder / "cells" / "compare.json").read_text())
    return {cell["label"]: cell["runs"][0] for cell in content["cells"]}


def test_the_same_seed_has_the_same_order_of_samples(folder: Path, runs: dict[str, dict[str, Any]]) -> None:
    """What a map-style data set is asked for is one sequence for all losses: of those that train to their end, all."""
    read = sorted((file.read_text() for file in folder.glob("order-*.txt")), key=len)
    whole, other = read[-1], read[-2]
    assert runs["dice"]["status"] == runs["cross_entropy"]["status"] == "finished"
    assert len(whole.split()) > 4 * 40
    assert whole == other


def test_a_run_that_fails_is_a_row_that_says_why(
    ended: subprocess.CompletedProcess[str], runs: dict[str, dict[str, Any]]
) -> None:
    """The error is in the table and in compare.json, its traceback on stderr."""
    assert runs["grumpy"]["status"] == "failed"
    assert "no more of this" in runs["grumpy"]["reason"]
    assert "grumpy, seed 0: RuntimeError: no more of this" in ended.stdout
    assert "Traceback" in ended.stderr


def test_a_process_that_dies_is_a_row_that_says_so(
    ended: subprocess.CompletedProcess[str], runs: dict[str, dict[str, Any]]
) -> None:
    """What the system kills leaves no last words."""
    assert runs["dying"]["status"] == "failed"
    assert "SIGKILL" in runs["dying"]["reason"]
    assert "dying, seed 0" in ended.stdout


def test_the_rest_goes_on(ended: subprocess.CompletedProcess[str], runs: dict[str, dict[str, Any]]) -> None:
    """The other cells are finished and compared; the exit code is 1."""
    assert [runs[loss]["status"] for loss in ("dice", "cross_entropy")] == ["finished", "finished"]
    assert "test_accuracy" in ended.stdout
    assert ended.returncode == 1


def test_runs_leave_their_curves(folder: Path, runs: dict[str, dict[str, Any]]) -> None:
    """As `lossreg run` does; one that failed has none."""
    assert (folder / "cells" / runs["dice"]["directory"] / "curves.png").read_bytes().startswith(b"\x89PNG")
    assert not (folder / "cells" / runs["dying"]["directory"] / "curves.png").exists()


def test_failed_runs_are_run_again(folder: Path, ended: subprocess.CompletedProcess[str]) -> None:
    """The same command again runs those alone that are not finished."""
    command = list(ended.args)
    before = {file: file.stat().st_mtime_ns for file in folder.glob("cells/*/run.json")}
    again = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    changed = {file.parent.name.partition("-")[0] for file, time in before.items() if file.stat().st_mtime_ns != time}
    assert again.returncode == 1
    assert changed == {"grumpy", "dying"}
    assert "runs: 2" in again.stderr
