"""A run that run hooks took part in names them, and its repeat says what is missing."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install

SHORT = ("--epochs", "5", "--limit-train", "64", "--limit-test", "32", "--quiet")
STOP = """
import lossreg

@lossreg.hookimpl
def lossreg_epoch_finished(run, record):
    if record["epoch"] == 1:
        run.request_stop("two are enough")
"""


def record_of(folder: Path) -> dict[str, Any]:
    """What run.json says."""
    content: dict[str, Any] = json.loads((folder / "run.json").read_text())
    return content


def test_a_file_that_stopped_a_run_is_in_its_record(command_with: CommandWith, tmp_path: Path) -> None:
    """run.json names the `-p` file of run hooks with its hash, and says that it stopped the run."""
    file = tmp_path / "early.py"
    file.write_text(STOP)
    result = command_with("run", "-p", "./early.py", *SHORT, "--out", "out", path=tmp_path / "no", cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = record_of(tmp_path / "out")
    assert (record["status"], record["reason"], record["stopped_by"]) == ("stopped", "two are enough", str(file))
    assert record["epochs_done"] == 2
    assert record["repeatable"] is True
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    origin = {"plugin": "local", "distribution": None, "version": None, "file": str(file), "sha256": sha256}
    assert record["participants"] == [{**origin, "hooks": ["lossreg_epoch_finished"]}]

    without = command_with("run", "-c", "out", "--quiet", "--out", "without", path=tmp_path / "no", cwd=tmp_path)
    assert without.returncode == 0, without.stderr
    assert f"run.json was stopped after 2 of 5 epochs by {file}: two are enough" in without.stderr
    assert f"the run hooks of {file} took part in" in without.stderr
    assert f"are missing here, so the run may go another way; add -p {file}" in without.stderr
    assert record_of(tmp_path / "without")["epochs_done"] == 5

    again = ["run", "-c", "out", "-p", str(file), "--quiet", "--out", "again"]
    repeated = command_with(*again, path=tmp_path / "no", cwd=tmp_path)
    (line,) = repeated.stderr.splitlines()
    assert "was stopped after 2 of 5 epochs" in line
    assert record_of(tmp_path / "again")["metrics"]["train_loss"] == record["metrics"]["train_loss"]

    file.write_text(STOP.replace("== 1", "== 3"))
    changed = command_with("plan", "-c", "out", "-p", str(file), path=tmp_path / "no", cwd=tmp_path)
    assert f"{file}, whose run hooks took part in out/run.json, has changed since" in changed.stderr


def test_an_installed_plugin_that_stopped_a_run_is_in_its_record(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """run.json names an installed plugin with run hooks, its distribution, version, file and hash."""
    site = install("stops", "good-losses")
    file = site / "stops" / "plugin.py"
    result = command_with("run", *SHORT, "--out", "out", path=site, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = record_of(tmp_path / "out")
    assert record["stopped_by"] == "plugin 'stops' (stops 1.0)"
    sha256 = hashlib.sha256(file.read_bytes()).hexdigest()
    origin = {"plugin": "stops", "distribution": "stops", "version": "1.0", "file": str(file), "sha256": sha256}
    assert record["participants"] == [{**origin, "hooks": ["lossreg_epoch_finished"]}]

    plan = ["plan", "-c", "out"]
    blocked = command_with(*plan, "-p", "no:stops", path=site, cwd=tmp_path)
    assert (
        "the run hooks of plugin 'stops' (stops 1.0) took part in out/run.json and are missing here" in blocked.stderr
    )
    moved = tmp_path / "moved"
    shutil.copytree(site, moved)
    there = command_with(*plan, path=moved, cwd=tmp_path)
    assert len(there.stderr.splitlines()) == 1
    assert "was stopped after 2 of 5 epochs by plugin 'stops' (stops 1.0): two are enough" in there.stderr
    (moved / "stops" / "plugin.py").write_text(file.read_text() + "\n# changed\n")
    changed = command_with(*plan, path=moved, cwd=tmp_path)
    assert "plugin 'stops' (stops 1.0), whose run hooks took part in out/run.json, has changed" in changed.stderr


def test_run_hooks_that_are_new_are_told(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """A repeat says which run hooks take part that did not; a plugin of components alone is none of them."""
    site = install("stops", "good-losses")
    first = command_with("run", "--no-plugins", *SHORT, "--out", "out", path=site, cwd=tmp_path)
    assert (first.returncode, first.stderr) == (0, "")
    assert record_of(tmp_path / "out")["participants"] == []
    (line,) = command_with("plan", "-c", "out", path=site, cwd=tmp_path).stderr.splitlines()
    assert "the run hooks of plugin 'stops' (stops 1.0) take part here, and did not in out/run.json" in line


def test_a_record_of_an_earlier_version_tells_nothing_of_hooks(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A run.json without the field is repeated without a word on hooks."""
    site = install("stops")
    command_with("run", "--no-plugins", *SHORT, "--out", "out", path=site, cwd=tmp_path)
    record = record_of(tmp_path / "out")
    for field in ("participants", "observers", "stopped_by"):
        del record[field]
    (tmp_path / "out" / "run.json").write_text(json.dumps(record))
    result = command_with("plan", "-c", "out", path=site, cwd=tmp_path)
    assert (result.returncode, result.stderr) == (0, "")


class Enough:
    """Ends a run after its second epoch."""

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Asks for the stop."""
        if record["epoch"] == 1:
            run.request_stop("two are enough")


def test_a_run_that_an_observer_stopped_cannot_be_repeated(command_with: CommandWith, tmp_path: Path) -> None:
    """An observer is a Python object: a run that it stopped is not repeatable, and its repeat says what is missing."""
    out = tmp_path / "out"
    result = lossreg.run(epochs=5, limit_train=64, limit_test=32, out=out, quiet=True, observers=[Enough()])
    record = record_of(out)
    assert result.repeatable is record["repeatable"] is False
    assert record["observers"] == [record["stopped_by"]] == [f"{__name__}.Enough"]
    repeated = command_with("plan", "-c", "out", path=tmp_path, cwd=tmp_path)
    assert f"was stopped after 2 of 5 epochs by {__name__}.Enough: two are enough" in repeated.stderr
    assert f"the observer {__name__}.Enough took part in out/run.json" in repeated.stderr
