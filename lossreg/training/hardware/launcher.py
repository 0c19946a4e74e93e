"""What started this process says in its environment: whether it is one of several. Needs no torch."""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

from lossreg.errors import ConfigError

#: What torchrun, Open MPI, other MPIs and srun call rank, number of processes, and both on one machine.
_NAMES = (
    ("RANK", "WORLD_SIZE", "LOCAL_RANK", "LOCAL_WORLD_SIZE"),
    ("OMPI_COMM_WORLD_RANK", "OMPI_COMM_WORLD_SIZE", "OMPI_COMM_WORLD_LOCAL_RANK", "OMPI_COMM_WORLD_LOCAL_SIZE"),
    ("PMI_RANK", "PMI_SIZE", "MPI_LOCALRANKID", "MPI_LOCALNRANKS"),
    ("SLURM_PROCID", "SLURM_STEP_NUM_TASKS", "SLURM_LOCALID", "SLURM_NTASKS_PER_NODE"),
)
_MEETING = ("MASTER_ADDR", "MASTER_PORT")


class Launch(NamedTuple):
    """One of several processes that were started together."""

    rank: int
    world_size: int
    local_rank: int
    local_world_size: int


def find_launch(environment: Mapping[str, str] = os.environ) -> Launch | None:
    """Reads the variables of torchrun, mpirun and srun; None for a process on its own.

    Raises:
        ConfigError: If they say that there are several processes, but not which one this is or where they meet.

    Example:
        >>> find_launch({"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "10.0.0.1", "MASTER_PORT": "29500"})
        Launch(rank=1, world_size=2, local_rank=1, local_world_size=2)
        >>> find_launch({"RANK": "0", "WORLD_SIZE": "1"})
    """
    for names in _NAMES:
        rank, world_size, *_ = (_number(environment, name) for name in names)
        if world_size == 1:
            return None  # it says so: also for a process that mpirun or srun started for a run of its own
        if world_size is None and not rank:
            continue
        said = ", ".join(f"{name}={environment[name]}" for name in names[:2] if name in environment)
        if rank is None or world_size is None or rank >= world_size:
            raise ConfigError(
                f"this process is one of several ({said}), but not which one of how many: set {names[0]} to 0, 1, ... "
                f"and {names[1]} to their number, or start them with torchrun; for a run of its own, set WORLD_SIZE=1"
            )
        missing = [name for name in _MEETING if not environment.get(name)]
        if missing:
            raise ConfigError(
                f"this process is one of several that train together ({said}), but {' and '.join(missing)} "
                f"{'is' if len(missing) == 1 else 'are'} not set: set MASTER_ADDR to the host of rank 0 and "
                "MASTER_PORT to a port that is free there (the same for all), or start them with torchrun; for a run "
                "of its own, set WORLD_SIZE=1"
            )
        return Launch(rank, world_size, *find_local(rank, world_size, environment))
    return None


def find_local(rank: int, world_size: int, environment: Mapping[str, str] = os.environ) -> tuple[int, int]:
    """Which of its machine's processes this is, and how many there are; all are on one machine if nothing says more."""
    for *_, local_rank, local_world_size in _NAMES:
        if _number(environment, local_rank) is not None:
            return _number(environment, local_rank) or 0, _number(environment, local_world_size) or world_size
    return rank, world_size


def _number(environment: Mapping[str, str], name: str) -> int | None:
    text = environment.get(name, "").strip()
    if not text:
        return None
    if not (text.isascii() and text.isdecimal()):
        raise ConfigError(f"the environment variable {name} is a number of processes or of one of them, not {text!r}")
    return int(text)


def check_main_guard(function: str) -> None:
    """Checks that this is no worker process that imports the script which started it, and would train in its turn.

    Args:
        function: What the script calls.

    Raises:
        ConfigError: If it is.
    """
    multiprocessing = sys.modules.get("multiprocessing")  # without it, this is no worker process
    if multiprocessing and getattr(multiprocessing.current_process(), "_inheriting", False):  # what it goes by itself
        raise ConfigError(
            "a worker process is importing the script that started it, and would train again: "
            f"put the call of {function} below `if __name__ == '__main__':`"
        )


def restarted_by_launcher() -> bool:
    """Whether torchrun has started this process again after one of its processes had failed."""
    count = os.environ.get("TORCHELASTIC_RESTART_COUNT", "")
    return count.isdecimal() and int(count) > 0


def launch_id() -> str | None:
    """What torchrun's restarts of a run have in common: its own id, and the process that starts the others."""
    name = os.environ.get("TORCHELASTIC_RUN_ID")
    return None if name is None else f"{name}/{os.getppid()}"
