"""The run directory: `run.json`, `metrics.jsonl`, `model.pt`, and `loss.pt` for a loss that is trained."""

from __future__ import annotations

import contextlib
import itertools
import json
import math
import os
import platform
import signal
import time
from collections.abc import Mapping
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

import numpy as np
import torch

import lossreg
from lossreg.errors import RunDirectoryError, RunFailedError
from lossreg.plugins import describe_error
from lossreg.training.splits import Loaded, Resident

if TYPE_CHECKING:
    from lossreg.training.assembly import Assembly
    from lossreg.training.results import RunResult
    from lossreg.training.state import Run

FORMAT = 1  # of run.json
CLAIM = ".claimed"  # a file that is there from the claim of a directory until its run.json is


class RunDirectory:
    """The directory of one run, claimed before anything is loaded and given back if the run never starts.

    Attributes:
        path: Where it is.
    """

    def __init__(self, path: Path, made: list[Path]) -> None:
        self.path = path
        self._made = made  # what claiming had to make, innermost first

    @classmethod
    def claim(cls, path: Path) -> RunDirectory:
        """Makes the directory, with its parents; an empty one is taken as it is. No other run can claim it then.

        Raises:
            RunDirectoryError: If it is not empty, another run has claimed it, it is a file, or it cannot be made or
                written to.
        """
        missing: list[Path] = []
        claimed = False
        try:
            missing = [folder for folder in (path, *path.parents) if not folder.exists()]
            path.mkdir(parents=True, exist_ok=True)
            (path / CLAIM).open("x").close()  # fails if it is there: of two runs one gets the directory
            claimed = True
            if any(entry.name != CLAIM for entry in path.iterdir()):
                raise _unusable(path, "is not empty; name another --out directory, or remove it")
        except OSError as error:
            if claimed:
                cls(path, missing).release()
            elif not isinstance(error, FileExistsError):
                cls(path, missing)._remove_made()
            if isinstance(error, RunDirectoryError):
                raise
            if isinstance(error, FileExistsError) and error.filename == str(path / CLAIM):
                raise _unusable(path, "belongs to another run, which is about to start; name another") from error
            raise _unusable(path, f"cannot be used: {error.strerror or error}") from error
        return cls(path, missing)

    @classmethod
    def claim_default(cls, labels: Mapping[str, str]) -> RunDirectory:
        """Makes `runs/<time>-<model>-<loss>-<optimizer>` below the working directory; `-2` and so on if that is there.

        Raises:
            RunDirectoryError: If it cannot be made.
        """
        parts = [labels[field].partition("(")[0].rpartition(".")[2] for field in ("model", "loss", "optimizer")]
        stem = "-".join([datetime.now().strftime("%Y%m%d-%H%M%S"), *parts])
        for number in itertools.count(1):
            path = Path("runs", stem if number == 1 else f"{stem}-{number}")
            if not path.exists():
                try:
                    return cls.claim(path)
                except RunDirectoryError:
                    if not path.exists():
                        raise  # it cannot be made; otherwise another run was faster
        raise AssertionError("unreachable")

    def started(self) -> None:
        """Takes the claim away: run.json is there now."""
        (self.path / CLAIM).unlink(missing_ok=True)

    def release(self) -> None:
        """Removes what claiming made, where it is still empty."""
        with contextlib.suppress(OSError):
            (self.path / CLAIM).unlink(missing_ok=True)
        self._remove_made()

    def _remove_made(self) -> None:
        for folder in self._made:
            with contextlib.suppress(OSError):
                folder.rmdir()


def _unusable(path: Path, why: str) -> RunDirectoryError:
    return RunDirectoryError(f"the run directory {path} {why}", path=str(path))


class Recorder:
    """An observer that keeps the run directory; every file is whole at every moment.

    Args:
        directory: The claimed directory.
        assembly: The parts of the run.
    """

    def __init__(self, directory: RunDirectory, assembly: Assembly) -> None:
        self._claim = directory
        self._directory = directory.path
        self._metrics: TextIO | None = None
        self._last: dict[str, Any] | None = None
        self._started = time.time()
        self._facts = describe(assembly)

    def lossreg_run_started(self, run: Run) -> None:
        """Writes run.json and opens metrics.jsonl."""
        self._write(run, "running")
        self._claim.started()
        self._metrics = (self._directory / "metrics.jsonl").open("w", encoding="utf-8")

    def lossreg_logged(self, run: Run, record: Mapping[str, Any]) -> None:
        """Appends a step."""
        self._append(record)

    def lossreg_epoch_finished(self, run: Run, record: Mapping[str, Any]) -> None:
        """Appends an epoch."""
        self._last = dict(record)
        self._append(record)

    def lossreg_run_finished(self, run: Run, result: RunResult) -> None:
        """Writes the model and the last run.json.

        Raises:
            RunFailedError: If they cannot be written.
        """
        try:
            self._write_weights(run)
            self._close(run, "finished" if result.reason is None else "stopped", result.reason)
        except (OSError, RuntimeError) as error:  # torch's writer raises the latter on a full disk
            raise RunFailedError(
                f"{self._directory} cannot be written to: {describe_error(error)}", epoch=run.epoch, step=run.step
            ) from error

    def lossreg_run_failed(self, run: Run, error: BaseException) -> None:
        """Keeps what there is: the weights so far, and why it ended."""
        status = "interrupted" if _signal(error) else "failed"
        # The error goes on to the caller; one of writing must not take its place.
        with contextlib.suppress(OSError):
            self._close(run, status, _signal(error) or describe_error(error))
        with contextlib.suppress(OSError, RuntimeError):
            self._write_weights(run)

    def _append(self, record: Mapping[str, Any]) -> None:
        if self._metrics is None:
            return
        try:
            self._metrics.write(json.dumps(_finite(record), allow_nan=False) + "\n")
            self._metrics.flush()
        except OSError as error:
            raise RunFailedError(
                f"{self._directory} cannot be written to: {describe_error(error)}",
                epoch=record["epoch"],
                step=record["step"],
            ) from error

    def _close(self, run: Run, status: str, reason: str | None) -> None:
        if self._metrics is not None:
            with contextlib.suppress(OSError):  # what could not be written is still waiting to be
                self._metrics.close()
        self._write(run, status, reason)

    def _write_weights(self, run: Run) -> None:
        self._save("model.pt", run.model)
        loss = run.assembly.objective.loss
        if any(parameter.requires_grad for parameter in loss.parameters()):
            self._save("loss.pt", loss)

    def _save(self, name: str, module: torch.nn.Module) -> None:
        weights = {name: value.detach().cpu() for name, value in module.state_dict().items()}
        with _replacing(self._directory / name) as partial:
            torch.save(weights, partial)

    def _write(self, run: Run, status: str, reason: str | None = None) -> None:
        content = {
            "format": FORMAT,
            "status": status,
            "reason": reason,
            **self._facts,
            "started": datetime.fromtimestamp(self._started).astimezone().isoformat(timespec="seconds"),
            "seconds": round(time.time() - self._started, 3),
            "epochs_done": self._last["epoch"] + 1 if self._last else 0,
            "steps_done": run.step,
            "metrics": self._last and _finite(self._last),
        }
        with _replacing(self._directory / "run.json") as partial:
            partial.write_text(json.dumps(content, indent=2, allow_nan=False) + "\n", encoding="utf-8")


def _signal(error: BaseException) -> str | None:
    """The signal that an error stands for, or None."""
    if isinstance(error, KeyboardInterrupt):
        return "Ctrl-C"
    return "SIGTERM" if isinstance(error, SystemExit) and error.code == 128 + signal.SIGTERM else None


def _finite(row: Mapping[str, Any]) -> dict[str, Any]:
    """The row with null for what JSON has no number for."""
    return {k: None if isinstance(v, float) and not math.isfinite(v) else v for k, v in row.items()}


@contextlib.contextmanager
def _replacing(path: Path) -> Any:
    """A file that takes its place only when it is whole."""
    partial = path.with_name(f".{path.name}.partial")
    try:
        yield partial
        os.replace(partial, path)  # noqa: PTH105  # the one that is atomic on every system
    finally:
        partial.unlink(missing_ok=True)


def _loader(split: Resident | Loaded) -> dict[str, Any]:
    workers = {"workers": split.workers} if isinstance(split, Loaded) else {}
    return {"used": split.loader, "reason": split.reason, **workers}


def describe(assembly: Assembly) -> dict[str, Any]:
    """What run.json says of the parts; `plan` shows the same."""
    data, precision = assembly.data, assembly.objective.precision
    spec = dict(assembly.spec.items())
    spec |= dict.fromkeys(assembly.objects)  # an object has no text
    return {
        "repeatable": assembly.repeatable,
        "objects": assembly.objects,
        "spec": spec,
        "components": assembly.components,
        "contract": {
            "input": assembly.loss.input_as,
            "target": assembly.loss.target_as,
            "output_shape": list(assembly.output_shape),
            "interval": assembly.interval,
            "monitor": assembly.monitor,
        },
        "device": str(assembly.device),
        "processes": assembly.processes.count,
        "precision": {"used": precision.name, "reason": precision.reason},
        "loaders": {name: _loader(split) for name, split in assembly.splits.items()},
        "layout": {"memory_format": assembly.layout.name, "reason": assembly.layout.reason},
        "averaging": assembly.averaging.rule,
        "data": {
            "task": data.task,
            "in_shape": list(data.in_shape),
            "outputs": data.outputs,
            **{split: len(samples) for split, samples in assembly.splits.items()},
        },
        "steps_per_epoch": assembly.cuts.steps,
        "parameters": sum(parameter.numel() for parameter in assembly.model.parameters()),
        "versions": {
            "lossreg": lossreg.__version__,
            "torch": torch.__version__,
            "numpy": np.__version__,
            "python": platform.python_version(),
        },
        "threads": torch.get_num_threads(),
    }
