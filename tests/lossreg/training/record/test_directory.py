"""The run directory is claimed before anything is loaded."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg
from lossreg.training.record.directory import RunDirectory

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run


def test_of_two_runs_one_gets_the_directory(tmp_path: Path) -> None:
    """A directory that a run has claimed is refused to another, until it is released."""
    first = RunDirectory.claim(tmp_path / "a" / "out")
    with pytest.raises(lossreg.RunDirectoryError, match="belongs to another run"):
        RunDirectory.claim(tmp_path / "a" / "out")
    assert (tmp_path / "a" / "out").exists()
    first.release()
    assert list(tmp_path.iterdir()) == []


def test_two_processes_with_one_directory(warm_python: str, tmp_path: Path) -> None:
    """Of two runs into one directory at once, one trains and the other ends with 2."""
    tiny = ["--model", "mlp", "--epochs", "2", "--limit-train", "64", "--quiet", "--out", "out"]
    command = [warm_python, "-m", "lossreg", "run", *tiny]
    processes = [subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE) for _ in range(2)]
    errors = [process.communicate(timeout=240)[1] for process in processes]
    assert sorted(process.returncode for process in processes) == [0, 2], errors
    assert len((tmp_path / "out" / "metrics.jsonl").read_text().splitlines()) == 2


def test_default_directories_of_one_second_differ(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Runs that start within one second get directories of their own."""
    monkeypatch.chdir(tmp_path)
    labels = {"model": "mlp", "loss": "dice(smooth=1.0)", "optimizer": "a.sgd"}
    claimed = [RunDirectory.claim_default(labels).path for _ in range(5)]
    assert len(set(claimed)) == 5
    assert all("-mlp-dice-sgd" in path.name for path in claimed)


def test_a_path_that_is_too_long_is_refused(run_table: Run, tmp_path: Path) -> None:
    """A run directory whose name the system does not take is an error of use."""
    with pytest.raises(lossreg.RunDirectoryError, match="cannot be used"):
        run_table(out=tmp_path / ("x" * 300))


@pytest.mark.parametrize("status", ["interrupted", "failed"])
def test_a_run_that_can_go_on_is_offered(tmp_path: Path, status: str) -> None:
    """The directory of a run that did not come to its end is refused with the command that goes on with it."""
    (tmp_path / "a run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "a run" / "run.json").write_text(json.dumps({"status": status}))
    words = (
        rf"is not empty; go on with it: lossreg run --resume '{tmp_path / 'a run'}'; or name another directory as out"
    )
    with pytest.raises(lossreg.RunDirectoryError, match=words):
        RunDirectory.claim(tmp_path / "a run")


@pytest.mark.parametrize("content", [{"status": "finished"}, {"status": "stopped"}, []])
def test_a_run_that_is_over_is_not_offered(tmp_path: Path, content: object) -> None:
    """One that came to its end is not, nor is what no run.json can be."""
    (tmp_path / "run" / "checkpoints").mkdir(parents=True)
    (tmp_path / "run" / "run.json").write_text(json.dumps(content))
    with pytest.raises(lossreg.RunDirectoryError, match=r"is not empty; name another directory as out \(--out\)"):
        RunDirectory.claim(tmp_path / "run")
