"""Which process a run belongs to, and what is said of one that died without a word."""

from __future__ import annotations

import json
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lossreg
from lossreg.training.record.directory import RunDirectory
from lossreg.training.record.owner import describe_unfinished, is_gone, this_process
from tests.table import for_each

LINUX = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs /proc")
DESCRIBE = (
    "import json, sys; from lossreg.training.record.owner import this_process;"
    "print(json.dumps(this_process()), flush=True); sys.stdin.read()"
)


@pytest.fixture
def other() -> tuple[subprocess.Popen[str], dict[str, Any]]:
    """Another process, which lives until its stdin is closed, and what it says of itself."""
    process = subprocess.Popen(
        [sys.executable, "-c", DESCRIBE], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    described: dict[str, Any] = json.loads(process.stdout.readline())
    return process, described


def test_this_process_is_not_gone() -> None:
    """A process that lives is not gone, also when it is described by text."""
    assert is_gone(json.loads(json.dumps(this_process()))) is False


def test_a_process_that_ended_is_gone(other: tuple[subprocess.Popen[str], dict[str, Any]]) -> None:
    """Another process is there while it lives, and gone as soon as it was killed."""
    process, described = other
    assert described["pid"] == process.pid
    assert is_gone(described) is False
    process.kill()
    process.communicate()
    assert is_gone(described) is True


@LINUX
def test_a_process_that_is_not_waited_for_is_gone(other: tuple[subprocess.Popen[str], dict[str, Any]]) -> None:
    """A dead process whose parent has not asked for its exit code does not count as alive."""
    process, described = other
    process.kill()
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)  # it has ended, and stays a zombie
    assert is_gone(described) is True
    process.communicate()


@LINUX
@pytest.mark.parametrize(
    ("changed", "gone"),
    [
        ({"started": 1}, True),  # a later process of the same number
        ({"boot": "another"}, True),  # before the machine was started anew
        ({"host": "another"}, None),
        ({"namespace": "pid:[1]"}, None),
        ({"pid": None}, None),
        ({"pid": "1"}, None),
        ({"pid": -1}, None),
    ],
)
def test_a_number_is_not_enough(changed: dict[str, Any], gone: bool | None) -> None:
    """The number alone does not make a process the same one, and of another machine nothing is said."""
    assert is_gone({**this_process(), **changed}) is gone


@for_each("content", [{"status": "finished", "process": None}, {"status": "failed"}, {}])
def test_of_a_run_that_ended_there_is_nothing_to_say(content: dict[str, Any]) -> None:
    """Only a run.json that says `running` is spoken of."""
    assert describe_unfinished(content) is None


def test_the_record_names_its_process(tmp_path: Path) -> None:
    """run.json has this process, at the start and at the end."""
    seen: list[Any] = []

    class Reads:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            seen.append(json.loads((run.directory / "run.json").read_text()))

    lossreg.run(
        epochs=1, limit_train=64, limit_test=32, log_every=1, device="cpu", quiet=True, out=tmp_path / "run",
        observers=[Reads()],
    )  # fmt: skip
    assert seen[0]["status"] == "running"
    assert (
        describe_unfinished(seen[0]) == f"its run is still running (process {os.getpid()} on {this_process()['host']})"
    )
    assert json.loads((tmp_path / "run" / "run.json").read_text())["process"] == seen[0]["process"] == this_process()


@LINUX
def test_sudden_death_is_said(warm_python: str, lossreg_command: Callable[..., Any], tmp_path: Path) -> None:
    """A run that was killed with SIGKILL says `running` for ever: its readers are told."""
    command = [warm_python, "-m", "lossreg", "run", "--epochs", "1000000", "--limit-train", "64", "--out", "run"]
    process = subprocess.Popen([*command, "--quiet"], cwd=tmp_path)
    deadline = time.monotonic() + 120
    while not (tmp_path / "run" / "checkpoints").exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    number = json.loads((tmp_path / "run" / "run.json").read_text())["process"]["pid"]
    named = f"process {number} on {this_process()['host']}"
    taken = lossreg_command("run", "--out", "run")
    assert taken.code == 2
    assert f"is not empty (its run is still running ({named})); name another" in taken.err
    os.kill(number, signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL
    repeated = lossreg_command("plan", "-c", "run", "--epochs", "1")
    assert repeated.code == 0
    assert f"lossreg: warning: run/run.json: its run did not end: {named} is gone\n" in repeated.err
    taken = lossreg_command("run", "--out", "run")
    assert taken.code == 2
    assert (
        f"is not empty (its run did not end: {named} is gone); go on with it: lossreg run --resume {tmp_path / 'run'}; "
        "or name another"
    ) in taken.err


def test_a_claim_that_never_ran_blocks_nothing(tmp_path: Path) -> None:
    """A process that died between its claim and its start leaves the claim, and the next run takes the directory."""
    code = (
        "import os, sys; from pathlib import Path; from lossreg.training.record.directory import RunDirectory;"
        "RunDirectory.claim(Path(sys.argv[1])); os._exit(9)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path / "run")], check=False)
    assert [entry.name for entry in (tmp_path / "run").iterdir()] == [".claimed"]
    lossreg.run(epochs=1, limit_train=64, limit_test=32, device="cpu", quiet=True, out=tmp_path / "run")
    names = sorted(entry.name for entry in (tmp_path / "run").iterdir())
    assert names == ["checkpoints", "metrics.jsonl", "model.safetensors", "run.json"]


def test_a_claim_that_lives_is_refused(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """While a process prepares a run, another one does not get the directory, nor takes the claim away."""
    code = (
        "import sys; from pathlib import Path; from lossreg.training.record.directory import RunDirectory;"
        "claimed = RunDirectory.claim(Path(sys.argv[1])); print(flush=True); sys.stdin.read()"
    )
    command = [sys.executable, "-c", code, str(tmp_path / "run")]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    process.stdout.readline()
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            with pytest.raises(lossreg.RunDirectoryError, match="belongs to another run, which is about to start"):
                RunDirectory.claim(tmp_path / "run")
    process.kill()
    process.communicate()
    RunDirectory.claim(tmp_path / "run").release()
