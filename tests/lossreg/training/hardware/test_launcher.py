"""Processes that something else than torchrun started: they join, or are refused; none trains alone without a word."""

from __future__ import annotations

import json
import os
import socket
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

import lossreg
from lossreg.training.hardware.launcher import Launch, find_launch
from tests.table import for_each

MEETING = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "29500"}
FLAGS = ["--epochs", "1", "--limit-train", "64", "--limit-test", "32", "--device", "cpu", "--precision", "32"]


@for_each(
    ("environment", "launch"),
    [
        ({}, None),
        ({"RANK": "0"}, None),
        ({"RANK": "0", "WORLD_SIZE": "1"}, None),
        ({"RANK": "3", "WORLD_SIZE": "1"}, None),
        ({"RANK": "1", "WORLD_SIZE": "2"}, Launch(1, 2, 1, 2)),
        ({"RANK": "5", "WORLD_SIZE": "8", "LOCAL_RANK": "1", "LOCAL_WORLD_SIZE": "4"}, Launch(5, 8, 1, 4)),
        (
            {
                "OMPI_COMM_WORLD_RANK": "5", "OMPI_COMM_WORLD_SIZE": "8",
                "OMPI_COMM_WORLD_LOCAL_RANK": "1", "OMPI_COMM_WORLD_LOCAL_SIZE": "4",
            },
            Launch(5, 8, 1, 4),
        ),
        ({"PMI_RANK": "1", "PMI_SIZE": "2"}, Launch(1, 2, 1, 2)),
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "SLURM_LOCALID": "1"}, Launch(3, 4, 1, 4)),
        ({"SLURM_PROCID": "0", "SLURM_NTASKS": "4"}, None),  # sbatch's own script: one process
        ({"SLURM_PROCID": "3", "SLURM_STEP_NUM_TASKS": "4", "WORLD_SIZE": "1"}, None),  # runs of their own
        ({"RANK": "1", "WORLD_SIZE": "2", "SLURM_PROCID": "0", "SLURM_STEP_NUM_TASKS": "1"}, Launch(1, 2, 1, 2)),
    ],
)  # fmt: skip
def test_what_the_launchers_say_is_read(environment: dict[str, str], launch: Launch | None) -> None:
    """The variables of torchrun, of MPI and of Slurm give rank and size; the first that are set decide."""
    assert find_launch({**environment, **MEETING}) == launch


@for_each(
    ("environment", "said"),
    [
        (
            {"RANK": "1", "WORLD_SIZE": "2"},
            r"\(RANK=1, WORLD_SIZE=2\), but MASTER_ADDR and MASTER_PORT are not set: set",
        ),
        (
            {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "a"},
            "but MASTER_PORT is not set: set MASTER_ADDR to the host",
        ),
        ({"RANK": "1", "WORLD_SIZE": "2", "MASTER_PORT": "1"}, "but MASTER_ADDR is not set"),
        (
            {"OMPI_COMM_WORLD_RANK": "0", "OMPI_COMM_WORLD_SIZE": "2"},
            "OMPI_COMM_WORLD_SIZE=2.*for a run of its own, set",
        ),
        ({"WORLD_SIZE": "2"}, r"one of several \(WORLD_SIZE=2\), but not which one of how many: set RANK to 0, 1"),
        ({"RANK": "1"}, r"one of several \(RANK=1\), but not which one of how many"),
        ({"RANK": "2", "WORLD_SIZE": "2"}, r"\(RANK=2, WORLD_SIZE=2\), but not which one of how many"),
        ({"RANK": "one", "WORLD_SIZE": "2"}, "the environment variable RANK is a number.*not 'one'"),
    ],
)
def test_processes_that_cannot_meet_are_refused(environment: dict[str, str], said: str) -> None:
    """One of several processes that does not know its place or where to meet is told what to set."""
    with pytest.raises(lossreg.ConfigError, match=said):
        find_launch(environment)


def test_a_process_that_would_train_alone_ends_with_2(
    lossreg_command: Callable[..., Any], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """`RANK=1 WORLD_SIZE=2 lossreg run` is an error of use in one line, and leaves nothing."""
    monkeypatch.setenv("RANK", "1")
    monkeypatch.setenv("WORLD_SIZE", "2")
    outcome = lossreg_command("run", *FLAGS)
    assert outcome.code == 2
    (line,) = outcome.err.splitlines()
    assert line.startswith("lossreg: error: this process is one of several that train together (RANK=1, WORLD_SIZE=2)")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("names", [("RANK", "WORLD_SIZE"), ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE")])
def test_processes_of_other_launchers_train_together(warm_python: str, tmp_path: Path, names: tuple[str, str]) -> None:
    """Two processes that know where to meet train as one does: one speaks, and the record says 2."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(port)}
    command = [warm_python, "-m", "lossreg", "run", *FLAGS, "--loss", "cross_entropy", "--out", "two"]
    processes = [
        subprocess.Popen(
            command, cwd=tmp_path, text=True, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            env={**environment, names[0]: str(rank), names[1]: "2"},
        )
        for rank in (0, 1)
    ]  # fmt: skip
    (shown, said), (nothing, silent) = (process.communicate(timeout=240) for process in processes)
    assert [process.returncode for process in processes] == [0, 0], said + silent
    assert shown.count("test_accuracy") == 1
    assert (nothing, silent) == ("", "")
    assert json.loads((tmp_path / "two" / "run.json").read_text())["processes"] == 2
    alone = lossreg.run(
        loss="cross_entropy", epochs=1, limit_train=64, limit_test=32, device="cpu", precision="32", quiet=True,
        out=tmp_path / "one",
    )  # fmt: skip
    together = load_file(tmp_path / "two" / "model.safetensors")
    for name, value in alone.model.state_dict().items():
        torch.testing.assert_close(together[name], value, atol=1e-5, rtol=0)
