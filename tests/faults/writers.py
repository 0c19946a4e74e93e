"""Writers of checkpoints for the campaigns: ours, and some that are deliberately broken."""

from __future__ import annotations

import contextlib
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch

from lossreg.checkpoints import folder as folders
from lossreg.checkpoints.checkpoint import Checkpoint
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.errors import CheckpointError

Writer = Callable[[Path, int], None]


def contents(step: int) -> tuple[dict[str, Any], dict[str, Any], dict[str, Any]]:
    """Facts, weights and state of a step, none of them like those of another."""
    # Most of them larger than the one before, which is what a full disk has no room for.
    weights = {"weight": torch.full((64, 64 + 16 * (step % 8)), float(step)), "bias": torch.arange(64) * step}
    state = {"step": step, "optimizer": {"momentum": torch.full((500,), step / 7), "rates": [1 / (step + 1)]}}
    return {"step": step}, {"model": weights}, state


def save(folder: Path, step: int) -> None:
    """Our way: a checkpoint, and the oldest removed."""
    CheckpointFolder(folder).write(f"step-{step}", *contents(step))
    CheckpointFolder(folder).prune(2)


def save_again(folder: Path, step: int) -> None:
    """Our way, under a name that is taken."""
    CheckpointFolder(folder).write("last", *contents(step))


def save_in_place(folder: Path, step: int) -> None:
    """Broken: the files of the last checkpoint are overwritten."""
    path = folder / "last"
    with contextlib.suppress(FileNotFoundError):
        shutil.rmtree(path)
    folder.mkdir(exist_ok=True)
    folders._write_files(path, *contents(step), codecs=())


def save_and_remove_first(folder: Path, step: int) -> None:
    """Broken: the older checkpoints are removed before the new one is there."""
    for path in folder.iterdir() if folder.exists() else ():
        shutil.rmtree(path)
    CheckpointFolder(folder).write(f"step-{step}", *contents(step))


def why_broken(folder: Path, least: int) -> str | None:
    """What is wrong with a folder after a fault; None if a checkpoint of this step or a later one is whole.

    Args:
        folder: The folder of checkpoints.
        least: The last step whose writing had ended.
    """
    try:
        return why_not_as_written(CheckpointFolder(folder).newest(), least)
    except CheckpointError as error:
        return str(error)


def why_not_as_written(checkpoint: Checkpoint, least: int) -> str | None:
    """What differs between a checkpoint and what was written at its step, or None."""
    step = checkpoint.facts["step"]
    _, weights, state = contents(step)
    read, found = checkpoint.read_state(), checkpoint.read_weights()
    if step < least:
        return f"step {step} is the newest, and {least} had been written"
    if not all(torch.equal(value, found[name]) for name, value in weights["model"].items()):
        return "the weights are not those of the step"
    if read["step"] != step or not torch.equal(read["optimizer"]["momentum"], state["optimizer"]["momentum"]):
        return "the state is not that of the step"
    return None
