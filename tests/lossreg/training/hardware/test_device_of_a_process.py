"""Which accelerator one of several processes takes: by its rank, or the only one that it sees."""

from __future__ import annotations

import os
import subprocess
import textwrap
from pathlib import Path

import pytest
import torch

import lossreg
from lossreg.training.hardware.device import check_not_shared, hardware_id, own_index
from lossreg.training.hardware.launcher import find_launch
from tests.table import for_each


@for_each("local_rank", range(4))
def test_srun_with_one_gpu_for_each_task(local_rank: int) -> None:
    """The task with SLURM_LOCALID=1 that sees one device takes its device 0, as all others do."""
    launch = find_launch(
        {
            "SLURM_PROCID": str(4 + local_rank), "SLURM_STEP_NUM_TASKS": "8", "SLURM_LOCALID": str(local_rank),
            "SLURM_NTASKS_PER_NODE": "4", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500",
            "CUDA_VISIBLE_DEVICES": str(local_rank),
        }
    )  # fmt: skip
    assert launch is not None
    assert own_index(launch.local_rank, visible=1) == 0


def test_processes_that_see_all_devices_take_one_each() -> None:
    """Four of eight devices, or all of four: the device's number is the rank on the machine."""
    for visible in (4, 8):
        assert [own_index(rank, visible) for rank in range(4)] == [0, 1, 2, 3]


def test_two_devices_for_each_task() -> None:
    """A process that sees two takes one that exists, whatever its rank."""
    assert [own_index(rank, 2) for rank in range(4)] == [0, 1, 0, 1]


def test_without_a_device_the_request_fails_as_before() -> None:
    """A machine without accelerators says so."""
    if torch.accelerator.is_available():
        pytest.skip("this machine has an accelerator")
    with pytest.raises(lossreg.errors.DeviceError, match="device 'cuda' does not exist; this machine has cpu"):
        lossreg.plan(device="cuda")


def test_a_shared_device_is_an_error() -> None:
    """Two processes with one device are named; the same number on two machines, and a CPU, are no clash."""
    check_not_shared([None, None])
    check_not_shared(["cuda GPU-1 of a", "cuda GPU-2 of a", "mps:0 of a", "mps:0 of b"])
    with pytest.raises(lossreg.errors.DeviceError, match=r"processes 1 and 2 have the same device \(cuda GPU-2 of a\)"):
        check_not_shared(["cuda GPU-1 of a", "cuda GPU-2 of a", "cuda GPU-2 of a"])


def test_a_cpu_is_shared() -> None:
    """It has no id of its own."""
    assert hardware_id(torch.device("cpu")) is None


SCRIPT = """
import sys
from pathlib import Path
import lossreg
from lossreg.training.hardware.device import check_not_shared
from lossreg.training.hardware.distributed import Processes

processes = Processes.join()
processes.check_together(f"cuda {processes.rank} of here", check_not_shared)
try:
    with processes.fail_together():
        processes.check_together("cuda 0 of here", check_not_shared)
except lossreg.errors.DeviceError as error:
    (Path(sys.argv[1]) / str(processes.rank)).write_text(error.message)
"""


def test_all_processes_find_a_shared_device(warm_python: str, tmp_path: Path) -> None:
    """Both of two processes raise the error that names them, and neither waits for the other."""
    script = tmp_path / "script.py"
    script.write_text(textwrap.dedent(SCRIPT))
    subprocess.run(
        [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", script, tmp_path],
        env={**os.environ, "OMP_NUM_THREADS": "1"},
        check=True,
        timeout=240,
    )
    said = [(tmp_path / rank).read_text() for rank in "01"]
    assert said[0] == said[1]
    assert said[0].startswith("processes 0 and 1 have the same device (cuda 0 of here)")
