"""Runs of the command line in processes of their own, which campaigns break, and what two runs differ in."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, Self

import numpy as np
import torch
from torch import Tensor

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.checkpoints.weights_file import read_weights
from lossreg.errors import CheckpointError
from tests import warm_ask
from tests.faults.child import Breaking

ROOT = Path(__file__).parents[2]
PATIENCE = 120  # seconds that a process has, however loaded the machine is
TIMES = frozenset({"seconds", "epoch_seconds", "samples_per_second"})

#: A run of a second that keeps what a run can keep: two evaluations, a schedule, averages, the best of all epochs.
SMALL = (
    "run", "--data", "diabetes", "--model", "noisy", "--device", "cpu", "--no-plots", "--limit-train", "96",
    "--limit-test", "32", "--batch-size", "8", "--epochs", "5", "--log-every", "2", "--checkpoint-every", "3s",
    "--validate", "0.5", "--best", "validation_loss",
)  # fmt: skip

#: Name -> what a run has in addition.
KINDS: dict[str, tuple[str, ...]] = {
    "adam": ("--opt", "adam(lr=0.01)", "--sched", "cosine_annealing_lr(T_max=5)"),
    "averaged": ("--opt", "sgd(lr=0.01, momentum=0.9)", "--weights", "ema(0.9)", "--accumulate", "3"),
    "loader": ("--opt", "rmsprop(lr=0.001)", "--loader", "dataloader", "--workers", "0", "--patience", "4"),
}


class Child:
    """A process that runs `lossreg`, with torch imported; killed at the end of the block if it is still there.

    Args:
        python: The fixture `warm_python`.
        breaking: What is done to it.
        words: Its words on the command line.
        environment: What is in its environment in addition.

    Attributes:
        pid: Its number.
        stderr: The file of what it says, which is added to.
    """

    def __init__(
        self, python: str, breaking: Breaking, words: tuple[str, ...], environment: Mapping[str, str] | None = None
    ) -> None:
        self.noted = Path(breaking.noted)
        self.stderr = self.noted.with_suffix(".err")
        self.stderr.write_bytes(b"")
        added = {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1", **(environment or {})}
        with open(os.devnull) as nothing, self.stderr.open("ab") as said:  # noqa: PTH123  # no path
            self._connection, self.pid = warm_ask.begin(
                str(Path(python).with_name("warm")),
                python,
                ["-m", "tests.faults.child", breaking.to_json(), *words],
                {0: nothing.fileno(), 1: said.fileno(), 2: said.fileno()},
                {**os.environ, **added},
            )
        self._connection.settimeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, *_: object) -> None:
        self._connection.close()

    def wait(self) -> int:
        """The exit code, or the negative number of the signal that ended it."""
        return warm_ask.answer(self._connection)

    def send(self, number: int, *, to_group: bool = False) -> None:
        """Sends a signal; it may have ended."""
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.pid, number) if to_group else os.kill(self.pid, number)

    def has_begun(self) -> bool:
        """Whether it has come to the command."""
        return "begun" in notes(self.noted)

    def said(self) -> list[str]:
        """The lines that it wrote."""
        return self.stderr.read_text(encoding="utf-8").splitlines()


def notes(file: Path) -> list[str]:
    """The whole lines that a process has noted."""
    with contextlib.suppress(FileNotFoundError):
        return file.read_text().splitlines()
    return []


def until(condition: Callable[[], bool]) -> None:
    """Waits for something that another process does.

    Raises:
        TimeoutError: If it does not.
    """
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise TimeoutError
        time.sleep(0.001)


def started(python: str, scratch: Path, words: tuple[str, ...], processes: int = 1, **breaking: Any) -> list[Child]:
    """The processes of a run, as torchrun would start them; only the last of them sends a signal in its model."""
    environment = {}
    if processes > 1:
        with socket.socket() as free:
            free.bind(("localhost", 0))
            environment = {"MASTER_ADDR": "localhost", "MASTER_PORT": str(free.getsockname()[1])}
            environment |= {"WORLD_SIZE": str(processes), "LOCAL_WORLD_SIZE": str(processes)}
    children = []
    for rank in range(processes):
        own = {"RANK": str(rank), "LOCAL_RANK": str(rank)} if environment else {}
        noted = scratch / f"noted-{rank}"
        noted.unlink(missing_ok=True)
        sends = breaking.get("sends") if rank == processes - 1 else None
        children.append(Child(python, Breaking(str(noted), **{**breaking, "sends": sends}), words, environment | own))
    return children


def ends(children: list[Child]) -> list[int]:
    """The exit codes, once all have ended."""
    codes = []
    for child in children:
        with child:
            codes.append(child.wait())
    return codes


def completed(python: str, scratch: Path, words: tuple[str, ...], broken: str | None = None) -> float:
    """Has a command come to its end; the seconds it took.

    Raises:
        AssertionError: If it fails.
    """
    started = time.monotonic()
    with Child(python, Breaking(str(scratch / "completed"), broken=broken), words) as child:
        code = child.wait()
        assert code == 0, child.said()
    return time.monotonic() - started


def result_of(directory: Path) -> dict[str, Any]:
    """What a run has come to, without its times: weights, rows, and all of the last checkpoint."""
    checkpoint = CheckpointFolder(directory / "checkpoints").newest()
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    record = json.loads((directory / "run.json").read_text())
    return {
        "weights": dict(read_weights(directory / "model.safetensors")[0]),
        "rows": rows,
        "last": checkpoint.path.name,
        "last weights": dict(checkpoint.read_weights()),
        "state": checkpoint.read_state(),
        "status": record["status"],
    }


def difference(one: Any, other: Any, where: str = "") -> str | None:
    """Where two results first differ in a bit, but for times; None if they are the same."""
    if isinstance(one, Tensor) and isinstance(other, Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape
        return None if same and torch.equal(bits(one), bits(other)) else where
    if type(one) is not type(other):
        return where
    if isinstance(one, np.ndarray):
        return difference(torch.from_numpy(one), torch.from_numpy(other), where)
    if isinstance(one, Mapping):
        if list(one) != list(other):
            return f"{where}: {sorted(map(str, one))} and {sorted(map(str, other))}"
        pairs = [(str(key), one[key], other[key]) for key in one if key not in TIMES]
    elif isinstance(one, list | tuple):
        if len(one) != len(other):
            return f"{where}: {len(one)} and {len(other)}"
        pairs = [(str(place), *pair) for place, pair in enumerate(zip(one, other, strict=True))]
    else:
        return None if one == other else f"{where}: {one!r} and {other!r}"
    found = (difference(mine, others, f"{where}/{name}") for name, mine, others in pairs)
    return next(filter(None, found), None)


def bits(tensor: Tensor) -> Tensor:
    """The bytes of a tensor."""
    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


def newest_step(directory: Path) -> int | None:
    """The step of the newest checkpoint that is whole; None if the run had none yet.

    Raises:
        CheckpointError: If there are some, and none of them is.
    """
    folder = CheckpointFolder(directory / "checkpoints")
    if not folder.path.is_dir() or not any(not path.name.startswith(".") for path in folder.path.iterdir()):
        return None
    checkpoint = folder.newest()
    weights = checkpoint.read_weights()
    if not all(bool(torch.isfinite(one).all()) for one in weights.values() if one.is_floating_point()):
        raise CheckpointError(f"the weights of {checkpoint.path} are not finite", path=str(checkpoint.path))
    checkpoint.read_state()
    step: int = checkpoint.facts["step"]
    return step
