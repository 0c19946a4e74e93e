"""Whatever a plugin raises costs itself alone, and whatever it prints never reaches stdout."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install

TINY = ("--epochs", "2", "--limit-train", "64", "--limit-test", "32", "--quiet")

#: Distribution -> what its warning says. None of these errors is an Exception, but the last, which cannot be shown.
RAISED = {
    "bad-panic": "PanicException: called `Option::unwrap()` on a `None` value",
    "bad-skip": "Skipped: not on this machine",
    "bad-generator": "GeneratorExit: closed too early",
    "bad-message": "UntellableError: (its message cannot be shown: ValueError)",
}

BUILTIN = sorted(entry.name for entry in lossreg.load_registries(allow=[]).losses.values())


@pytest.mark.parametrize(("distribution", "reason"), RAISED.items())
def test_what_is_no_exception_costs_the_plugin_alone(
    install: Install, command_with: CommandWith, distribution: str, reason: str
) -> None:
    """A plugin whose import or hook raises a BaseException is one warning line; the other plugins load."""
    result = command_with("list", "loss", "--json", path=install(distribution, "good-losses"))
    assert result.returncode == 0
    assert [row["name"] for row in json.loads(result.stdout)] == [*BUILTIN, "focal"]
    (line,) = result.stderr.splitlines()
    assert f"({distribution} 1.0) failed to load: {reason}" in line


def test_a_run_hook_that_raises_what_is_no_exception_does_not_end_the_run(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A run hook that panics is left out of the rest of the run, which finishes."""
    result = command_with("run", *TINY, "--out", "out", path=install("bad-panic-late"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    (line,) = result.stderr.splitlines()
    assert "plugin 'panic_late' failed in lossreg_epoch_finished" in line
    assert "PanicException: index out of bounds: the len is 0" in line
    assert json.loads((tmp_path / "out" / "run.json").read_text())["epochs_done"] == 2


@pytest.mark.parametrize(
    ("loss", "said"),
    [
        ("lost", "lost() cannot be built: PanicException: index out of bounds"),
        ("adrift", "its factory 'bad_panic_late.loss:Loss' cannot be imported: PanicException: no GPU"),
    ],
)
def test_a_factory_that_raises_what_is_no_exception_is_an_error_that_names_it(
    install: Install, command_with: CommandWith, tmp_path: Path, loss: str, said: str
) -> None:
    """A factory that panics, on import or when it is called, is a line with exit code 2, without a traceback."""
    result = command_with("run", "--loss", loss, *TINY, path=install("bad-panic-late"), cwd=tmp_path)
    assert result.returncode == 2
    assert said in result.stderr
    assert "Traceback" not in result.stderr
    assert not (tmp_path / "runs").exists()


def test_a_file_that_raises_what_is_no_exception_is_an_error(command_with: CommandWith, tmp_path: Path) -> None:
    """A `-p` file that skips itself as a module of tests is a line with exit code 2, with the line of the file."""
    (tmp_path / "mine.py").write_text("import pytest\npytest.skip('not here', allow_module_level=True)\n")
    result = command_with("list", "-p", "./mine.py", path=tmp_path, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "-p ./mine.py: Skipped: not here (line 2)" in result.stderr


def test_a_signal_in_a_run_hook_ends_the_run(warm_python: str, tmp_path: Path) -> None:
    """SIGTERM that comes while a plugin's hook runs ends the run with 143, and is no fault of the plugin."""
    (tmp_path / "sleeps.py").write_text(
        "import pathlib, time, lossreg\n"
        "@lossreg.hookimpl\n"
        "def lossreg_run_started(run):\n"
        "    pathlib.Path('asleep').touch()\n"
        "    time.sleep(100)\n"
    )
    command = [warm_python, "-m", "lossreg", "run", "-p", "./sleeps.py", *TINY, "--out", "out"]
    with subprocess.Popen(command, cwd=tmp_path, stderr=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        while not (tmp_path / "asleep").exists():
            assert process.poll() is None
            time.sleep(0.05)
        process.send_signal(signal.SIGTERM)
        _, said = process.communicate(timeout=60)
    assert process.returncode == 143
    assert "left out of this run" not in said
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "interrupted"


def test_what_a_plugin_prints_does_not_reach_the_json_of_a_run(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """With a plugin that prints at import, in hooks, in its factory and in its loss, stdout is one JSON object."""
    run = ["run", "--loss", "talker", *TINY, "--precision", "32", "--out", "out", "--json"]
    result = command_with(*run, path=install("talks"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert Path(json.loads(result.stdout)["directory"]).name == "out"
    for where in ("import", "hook", "factory module", "factory", "forward", "started", "finished"):
        for how in ("printed", "written", "descriptor", "child", "kept"):
            assert f"{how} {where}\n" in result.stderr


@pytest.mark.parametrize(
    "arguments", [("list", "loss"), ("show", "loss", "talker"), ("plugins",), ("plan", "--loss", "talker")]
)
def test_what_a_plugin_prints_does_not_reach_other_output(
    install: Install, command_with: CommandWith, tmp_path: Path, arguments: tuple[str, ...]
) -> None:
    """Every command with `--json` prints JSON alone."""
    result = command_with(*arguments, "--json", path=install("talks"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    assert json.loads(result.stdout)
    assert "printed import" in result.stderr


def test_what_a_plugin_prints_is_no_completion(install: Install, command_with: CommandWith, tmp_path: Path) -> None:
    """The shell is offered names alone."""
    asked = {"_LOSSREG_COMPLETE": "bash_complete", "COMP_WORDS": "lossreg show loss ", "COMP_CWORD": "3"}
    result = command_with(path=install("talks"), cwd=tmp_path, **asked)
    assert result.stdout.splitlines() == [f"plain,{name}" for name in sorted([*BUILTIN, "talker"])]


def test_what_a_file_prints_goes_to_stderr(command_with: CommandWith, tmp_path: Path) -> None:
    """A `-p` file that prints when it is imported does not change the output of a command."""
    (tmp_path / "mine.py").write_text(
        "import lossreg\nprint('hello')\nlossreg.losses.register('mine', 'torch.nn:L1Loss', target='dense')\n"
    )
    result = command_with("list", "loss", "mine", "--json", "-p", "./mine.py", path=tmp_path, cwd=tmp_path)
    assert [row["id"] for row in json.loads(result.stdout)] == ["local.mine"]
    assert "hello" in result.stderr


def test_an_observer_prints_to_stdout(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """In Python, an observer is the caller's own code, whose output stays where it is."""
    import lossreg

    class Speaker:
        def lossreg_run_started(self, run: lossreg.Run) -> None:
            print("started")  # noqa: T201  # what is tested

    lossreg.run(epochs=1, limit_train=64, limit_test=32, out=tmp_path, quiet=True, observers=[Speaker()])
    assert capsys.readouterr().out == "started\n"
