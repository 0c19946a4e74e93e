"""A run directory is where it was when the run was asked for, whatever the working directory becomes."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lossreg
from tests.table import for_each_apart

SMALL: dict[str, Any] = {"epochs": 1, "limit_train": 64, "limit_test": 32, "device": "cpu", "quiet": True}
FLAGS = ["--epochs", "1", "--limit-train", "64", "--limit-test", "32", "--device", "cpu", "--quiet"]


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Another folder; the working directory is `here`."""
    (tmp_path / "here").mkdir()
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "elsewhere"


def assert_whole(directory: Path, elsewhere: Path, *pictures: str) -> None:
    """The run is finished in its directory, and nothing is elsewhere."""
    names = sorted([*pictures, "checkpoints", "metrics.jsonl", "model.safetensors", "run.json"])
    assert sorted(entry.name for entry in directory.iterdir()) == names
    assert json.loads((directory / "run.json").read_text())["status"] == "finished"
    assert list(elsewhere.iterdir()) == []


def test_an_observer_may_change_it(elsewhere: Path) -> None:
    """A relative run directory is whole although an observer went elsewhere, and hooks see an absolute one."""

    class Goes:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            os.chdir(elsewhere)

    result = lossreg.run(**SMALL, out="out", observers=[Goes()])
    assert result.directory == elsewhere.parent / "here" / "out"
    assert_whole(result.directory, elsewhere)


@pytest.mark.parametrize("named", [True, False])
def test_a_data_set_may_change_it(elsewhere: Path, named: bool) -> None:
    """A data set that goes elsewhere while it is loaded moves neither --out nor runs/."""

    def moving() -> lossreg.Data:
        os.chdir(elsewhere)
        data = lossreg.datasets.build("digits")
        assert isinstance(data, lossreg.Data)
        return data

    registries = lossreg.load_registries(allow=[])
    registries.datasets.register("moving", model="mlp")(moving)
    result = lossreg.run(**SMALL, data="moving", registries=registries, out="out" if named else None)
    assert result.directory.parent == elsewhere.parent / "here" / ("" if named else "runs")
    assert_whole(result.directory, elsewhere)


@pytest.mark.parametrize("options", [["--out", "out"], []], ids=["named", "unnamed"])
def test_a_plugin_may_change_it(warm_python: str, elsewhere: Path, tmp_path: Path, options: list[str]) -> None:
    """A -p file that goes elsewhere when it is imported moves neither --out nor runs/."""
    plugin = tmp_path / "goes.py"
    plugin.write_text(
        f"import os, lossreg\nos.chdir({str(elsewhere)!r})\n"
        "lossreg.losses.register('went', 'torch.nn:L1Loss', summary='A loss', target='dense')\n"
    )
    command = [warm_python, "-m", "lossreg", "run", "-p", str(plugin), "--loss", "went", *FLAGS, *options]
    result = subprocess.run(command, capture_output=True, text=True, check=False)
    assert result.returncode == 0, result.stderr
    here = tmp_path / "here"
    (directory,) = here.iterdir() if options else (here / "runs").iterdir()
    assert_whole(directory, elsewhere, "curves.png")


def test_a_tilde_is_the_home_directory(
    lossreg_command: Callable[..., Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """`--out=~/x`, which no shell expands, is in the home directory; so is `out="~/y"`."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    assert lossreg_command("run", *FLAGS, "--out=~/x").code == 0
    assert (tmp_path / "home" / "x" / "run.json").exists()
    assert lossreg.run(**SMALL, out="~/y").directory == tmp_path / "home" / "y"
    assert not (tmp_path / "~").exists()


@for_each_apart(
    ("out", "said"),
    [
        ("x" * 300, "File name too long"),
        ("/proc/1/x", "cannot be used"),
        ("/dev/null", "is not a directory; name another"),
        ("/dev/null/x", "Not a directory"),
        ("~no_such_user_here/x", "Could not determine home directory"),
    ],
)
def test_a_path_that_cannot_be_is_one_line(lossreg_command: Callable[..., Any], out: str, said: str) -> None:
    """A run directory that cannot be made is an error of one line, with exit code 2."""
    outcome = lossreg_command("run", *FLAGS, "--out", out)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("lossreg: error: the run directory ")
    assert said in line


def test_a_null_byte_is_an_error_of_use(tmp_path: Path) -> None:
    """A path with a null byte, which no system takes, is an error that names it."""
    with pytest.raises(lossreg.ConfigError, match=r"out \(--out\) has a null byte"):
        lossreg.run(**SMALL, out=f"{tmp_path}/a\0b")


def test_a_removed_working_directory_is_one_line(lossreg_command: Callable[..., Any], tmp_path: Path) -> None:
    """Where the working directory was removed, a run without an absolute directory is refused with what to do."""
    (tmp_path / "gone").mkdir()
    os.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    outcome = lossreg_command("run", *FLAGS)
    assert outcome.code == 2
    assert outcome.err == (
        "lossreg: error: the run directory runs cannot be used: the working directory was removed; change to another\n"
    )
