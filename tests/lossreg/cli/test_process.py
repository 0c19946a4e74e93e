"""The command as a process: signals, pipes, exit codes, other people's errors."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Command

LOSSREG = [sys.executable, "-m", "lossreg"]
SMALL = ("--model", "mlp", "--limit-train", "64", "--limit-test", "8")
SECONDS = 240  # only a process that hangs is waited for so long


@pytest.mark.parametrize(("sent", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_run_with_its_record(warm_python: str, tmp_path: Path, sent: signal.Signals, code: int) -> None:
    """Ctrl-C ends with 130 and SIGTERM with 143, and both leave metrics, weights and a record that says so.

    The last two lines say it, and how the run goes on.
    """
    out = tmp_path / "run"
    process = subprocess.Popen(
        [warm_python, "-m", "lossreg", "run", "--no-plots", *SMALL, "--epochs", "100000", "--out", str(out)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    metrics = out / "metrics.jsonl"
    deadline = time.monotonic() + SECONDS
    while not (metrics.exists() and metrics.stat().st_size) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.05)
    process.send_signal(sent)
    _, stderr = process.communicate(timeout=SECONDS)
    assert process.returncode == code
    assert "Traceback" not in stderr
    assert stderr.splitlines()[-2].startswith("lossreg: stopped by")
    assert stderr.splitlines()[-1] == f"lossreg run --resume {out}"
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "interrupted"
    assert record["epochs_done"] == len([x for x in metrics.read_text().splitlines() if '"epoch"' in x[:20]])
    assert (out / "model.safetensors").exists()


def test_a_reader_that_goes_away_is_no_error(tmp_path: Path) -> None:
    """`lossreg list | head -1` leaves nothing on stderr."""
    process = subprocess.Popen([*LOSSREG, "list"], stdout=subprocess.PIPE, stderr=subprocess.PIPE, cwd=tmp_path)
    assert process.stdout is not None
    process.stdout.close()
    _, stderr = process.communicate(timeout=SECONDS)
    assert stderr == b""


def test_the_error_of_somebody_else_s_code_shows_its_traceback(warm_python: str, tmp_path: Path) -> None:
    """A model that breaks in mid-training ends with exit code 1, its author's traceback, and what was done so far."""
    code = """
import sys, torch, lossreg
from lossreg.cli.main import main

class Fragile(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.linear, self.calls = torch.nn.Linear(784, 10), 0
    def forward(self, x):
        self.calls += 1
        if self.calls > 5:
            raise ZeroDivisionError("the model broke")
        return self.linear(x.flatten(1))

lossreg.models.register("fragile")(Fragile)
main(["run", "--model", "fragile", "--epochs", "5", "--limit-train", "128", "--limit-test", "8", "--out", sys.argv[1]])
"""
    command = [warm_python, "-c", code, str(tmp_path / "out")]
    result = subprocess.run(command, capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 1
    assert "Traceback" in result.stderr
    assert "the run failed: ZeroDivisionError: the model broke" in result.stderr.splitlines()[-1]
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "failed"


def test_a_diverging_run_ends_with_1(lossreg_command: Command, tmp_path: Path) -> None:
    """A loss that is no longer finite ends with exit code 1, one message and no traceback."""
    outcome = lossreg_command("run", "--data", "diabetes", "--opt.lr", "1e12", "--quiet")
    assert outcome.code == 1
    assert "Traceback" not in outcome.err
    assert "lossreg: error: the training loss is" in outcome.err
    (run,) = (tmp_path / "runs").iterdir()
    assert json.loads((run / "run.json").read_text())["status"] == "failed"


def test_json_is_all_of_stdout(warm_python: str, tmp_path: Path) -> None:
    """With --json, stdout is one JSON object and the progress is on stderr."""
    command = [warm_python, "-m", "lossreg", "run", *SMALL, "--epochs", "1", "--json"]
    result = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path)
    document = json.loads(result.stdout)
    assert document["final"]["epoch"] == 0
    assert Path(tmp_path, document["directory"], "model.safetensors").exists()
    assert "epoch 0" in result.stderr


def test_quiet_shows_nothing(lossreg_command: Command) -> None:
    """With --quiet, stderr is empty and the result is on stdout."""
    outcome = lossreg_command("run", *SMALL, "--epochs", "1", "--quiet")
    assert (outcome.code, outcome.err) == (0, "")
    assert "test_accuracy" in outcome.out


def test_a_terminal_gets_a_progress_bar(warm_python: str, tmp_path: Path) -> None:
    """On a terminal there are bars that count epochs and steps, and still a line for each epoch."""
    import fcntl
    import pty
    import struct
    import termios

    leader, follower = pty.openpty()
    fcntl.ioctl(follower, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 120, 0, 0))  # a new one is 0 columns wide
    command = [
        warm_python,
        "-m",
        "lossreg",
        "run",
        *SMALL[:2],
        "--epochs",
        "3",
        "--limit-train",
        "256",
        "--log-every",
        "2",
    ]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=follower, cwd=tmp_path)
    os.close(follower)
    shown = b""
    while True:
        try:
            piece = os.read(leader, 4096)
        except OSError:  # Linux's way to say that the other end is closed
            break
        if not piece:
            break
        shown += piece
    os.close(leader)
    assert process.wait(timeout=SECONDS) == 0
    assert b"epochs 0/3" in shown
    assert b"steps 0/4" in shown
    lines = [f"epoch {epoch}  step {4 * epoch + 4}  lr".encode() for epoch in range(3)]
    assert [shown.count(line) for line in lines] == [1, 1, 1]
