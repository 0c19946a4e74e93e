"""`lossreg` in a process that a campaign breaks: `python -m tests.faults.child BREAKING WORD...`.

BREAKING is a text of JSON, the fields of `Breaking`. The model `noisy` is there, which draws random numbers of every
kind that a run restores.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any

import attrs
import numpy as np
import torch
from torch import Tensor, nn

import lossreg
from lossreg.checkpoints import folder as folders
from lossreg.checkpoints.checkpoint import Checkpoint
from lossreg.checkpoints.durable import remove
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.cli.main import main
from lossreg.training import agenda as agendas
from lossreg.training.resume import saver as savers
from lossreg.training.resume import session as sessions
from tests.faults.system_calls import watched

HANGS = 600  # seconds that a step takes which does not come to its end


@attrs.frozen
class Breaking:
    """What is done to a run, or in it.

    Attributes:
        noted: The file that gets the number of the process, a line when the command begins, and the step of each
            checkpoint that was written.
        dies: Which save of the process, from 0, and before which of its system calls the process is killed.
        sends: A signal, the mode of the model (`train` or `eval`), and in which forward pass in that mode it comes.
        hangs: Whether that pass does not come to its end.
        leads: Whether the process has a process group of its own, as a terminal gives one to each command.
        broken: What does not work, one of `BROKEN`; the campaigns must notice.
        blows_up: The forward pass in training mode from which on the output is not finite.
        slow: Seconds that each of those takes in addition.
    """

    noted: str
    dies: Sequence[int] | None = None
    sends: tuple[int, str, int] | None = None
    hangs: bool = False
    leads: bool = False
    broken: str | None = None
    blows_up: int | None = None
    slow: float = 0.0

    def to_json(self) -> str:
        """The first word of the command."""
        return json.dumps(attrs.asdict(self))


class Noisy(nn.Module):
    """A small model with dropout, batch normalisation, and noise of Python and NumPy."""

    breaking = Breaking("")

    def __init__(self, in_features: int = 10, out_features: int = 1) -> None:
        super().__init__()
        random.seed(0)  # a run itself sets torch's generators alone
        np.random.seed(0)  # what a run restores
        self.layers = nn.Sequential(
            nn.Linear(in_features, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Dropout(0.2), nn.Linear(8, out_features)
        )
        self.passes = {"train": 0, "eval": 0}

    def forward(self, inputs: Tensor) -> Tensor:
        """The output."""
        mode = "train" if self.training else "eval"
        self.passes[mode] += 1
        sends, blows_up = self.breaking.sends, self.breaking.blows_up
        if sends is not None and (mode, self.passes[mode]) == (sends[1], sends[2]):
            os.kill(os.getpid(), sends[0])
            if self.breaking.hangs:
                note(self.breaking.noted, "hangs")
                time.sleep(HANGS)
        output: Tensor = self.layers(inputs)
        if not self.training:
            return output
        time.sleep(self.breaking.slow)
        if blows_up is not None and self.passes[mode] >= blows_up:
            output = output * torch.inf
        return output * (1 + random.random() / 100) * (1 + np.random.random() / 100)  # noqa: S311  # what a run restores


def note(file: str, line: object) -> None:
    """Adds a line to a file, by one write."""
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
    os.write(descriptor, f"{line}\n".encode())
    os.close(descriptor)


def note_saves(breaking: Breaking) -> None:
    """Has the steps of checkpoints noted once their writing has ended, and kills the process in the midst of one."""
    write, prune = CheckpointFolder.write, CheckpointFolder.prune
    saves, calls = -1, 0

    def die(_number: int, _name: str, _arguments: tuple[Any, ...]) -> None:
        nonlocal calls
        if [saves, calls] == breaking.dies:
            note(breaking.noted, "killed")
            os.kill(os.getpid(), signal.SIGKILL)
        calls += 1

    def noted_write(self: CheckpointFolder, name: str, facts: Any, *rest: Any) -> Checkpoint:
        nonlocal saves, calls
        saves, calls = saves + 1, 0
        with watched(die):
            written = write(self, name, facts, *rest)
        note(breaking.noted, facts["step"])
        return written

    def noted_prune(self: CheckpointFolder, *arguments: Any) -> tuple[str, ...]:
        with watched(die):
            return prune(self, *arguments)

    CheckpointFolder.write, CheckpointFolder.prune = noted_write, noted_prune  # type: ignore[method-assign, assignment]  # to be told of them


def forget_optimizer() -> None:
    """Broken: the state of the optimizer is not taken from the checkpoint."""
    sessions.load_named_state = lambda *_arguments, **_keywords: []  # type: ignore[attr-defined]  # it is imported there


def forget_generators() -> None:
    """Broken: nor are the states of the generators."""
    sessions.set_generator_states = lambda *_arguments: None  # type: ignore[attr-defined]  # as above


def write_in_place() -> None:
    """Broken: there is one checkpoint, whose files are overwritten."""

    def write(self: CheckpointFolder, name: str, facts: Any, weights: Any, state: Any) -> Checkpoint:
        for old in self.path.iterdir() if self.path.exists() else ():
            remove(old)
        self._make_folder()
        return Checkpoint(folders._write_files(self.path / name, facts, weights, state, ()))

    CheckpointFolder.write = write  # type: ignore[assignment, method-assign]  # it is broken


def save_nothing() -> None:
    """Broken: no checkpoint is written because of a signal."""
    agendas.Agenda.note = lambda _self: None  # type: ignore[method-assign, assignment]  # it is broken
    savers.Saver.between_steps = lambda _self, _session: None  # type: ignore[method-assign, assignment]  # as above


#: Name -> what breaks it.
BROKEN: dict[str, Callable[[], None]] = {
    "forget_optimizer": forget_optimizer,
    "forget_generators": forget_generators,
    "write_in_place": write_in_place,
    "save_nothing": save_nothing,
}


def run_child() -> None:
    """Runs the command."""
    breaking = Breaking(**json.loads(sys.argv[1]))
    if breaking.leads:
        os.setsid()
    if breaking.broken is not None:
        BROKEN[breaking.broken]()
    note_saves(breaking)
    Noisy.breaking = breaking
    lossreg.models.register("noisy")(Noisy)
    note(breaking.noted, f"pid {os.getpid()}")
    note(breaking.noted, "begun")
    main(sys.argv[2:])


if __name__ == "__main__":
    run_child()
