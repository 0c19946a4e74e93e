"""Observers where several processes train together."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

MINE = """
import os
from pathlib import Path

import lossreg

@lossreg.observers.register("tells_of_a_test")
class Tells:
    def __init__(self):
        self.tell("built")

    def tell(self, what):
        with open("told.txt", "a") as file:
            print(os.environ["RANK"], what, file=file)

    def lossreg_epoch_finished(self, run, record):
        self.tell(f"epoch {record['epoch']} of {run.parts.processes.world_size} processes")

    def lossreg_run_finished(self, run, result):
        self.tell("finished")
"""


def test_only_rank_0_has_observers(warm_python: str, tmp_path: Path) -> None:
    """Of two processes the first builds the observer and tells it of the run; the other does neither."""
    (tmp_path / "mine_of_two.py").write_text(MINE)
    torchrun = [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lossreg"]
    small = ["--data", "diabetes", "--epochs", "2", "--limit-train", "64", "--out", "out", "--device", "cpu"]
    result = subprocess.run(
        [*torchrun, "run", "-p", "mine_of_two.py", "--observe", "tells_of_a_test", *small],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    assert (tmp_path / "told.txt").read_text().splitlines() == [
        "0 built",
        "0 epoch 0 of 2 processes",
        "0 epoch 1 of 2 processes",
        "0 finished",
    ]


def test_a_wrong_observer_ends_all_processes(warm_python: str, tmp_path: Path) -> None:
    """An observer that cannot be built in rank 0 ends both processes before the run, told once."""
    (tmp_path / "mine_of_two.py").write_text(MINE.replace('self.tell("built")', "raise OSError('no disk')"))
    torchrun = [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "lossreg"]
    result = subprocess.run(
        [*torchrun, "run", "-p", "mine_of_two.py", "--observe", "tells_of_a_test", "--data", "diabetes"],
        cwd=tmp_path,
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode != 0
    assert result.stderr.count("tells_of_a_test() cannot be built: OSError: no disk") == 1
    assert not (tmp_path / "runs").exists()
