"""A run directory that can no longer be written to in the middle of a run."""

from __future__ import annotations

import contextlib
import errno
import json
import logging
import os
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

import lossreg
from lossreg import Data
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.training.record.directory import why_not_written

NOBODY = 65534
DENIED = "permission denied; let this user write there, or name another directory as out (--out)"

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="it knows other permissions")


@pytest.fixture
def out() -> Iterator[Path]:
    """A run directory in folders that every user may look into, as those of pytest are not."""
    folder = Path(tempfile.mkdtemp())
    folder.chmod(0o755)
    yield folder / "run"
    shutil.rmtree(folder)


class Closes:
    """Takes away the right to write from some epoch on, also root's.

    Args:
        epoch: The epoch; -1 is before the first step.
    """

    def __init__(self, epoch: int) -> None:
        self.epoch = epoch

    def lossreg_run_started(self, run: lossreg.Run) -> None:
        """Before the first step."""
        self._close(run.directory, -1)

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """After an epoch, before its checkpoint."""
        self._close(run.directory, record["epoch"])

    def _close(self, directory: Path, epoch: int) -> None:
        if epoch == self.epoch:
            for folder in (directory / "checkpoints", directory):
                with contextlib.suppress(FileNotFoundError):
                    folder.chmod(0o555)
            if os.geteuid() == 0:
                os.seteuid(NOBODY)


@contextlib.contextmanager
def reopened(directory: Path) -> Iterator[None]:
    """A block after which this user may write again."""
    was = os.geteuid()
    try:
        yield
    finally:
        os.seteuid(was)
        for folder in (directory, directory / "checkpoints"):
            with contextlib.suppress(FileNotFoundError):
                folder.chmod(0o755)


@pytest.fixture
def usual(out: Path) -> dict[str, Any]:
    """A run of 3 epochs of 2 steps."""
    inputs, targets = torch.ones(4, 2), torch.ones(4, 1)
    data = Data((inputs, targets), (inputs, targets), "regression", (2,), out_features=1)
    return {"data": data, "model": nn.Linear(2, 1), "batch_size": 2, "epochs": 3, "out": out, "device": "cpu"}


def test_nothing_can_be_kept(out: Path, usual: dict[str, Any]) -> None:
    """The run fails at its end with the file, the reason, what to do, and that no weights are kept."""
    with pytest.raises(lossreg.RunFailedError) as caught, reopened(out):
        lossreg.run(**usual, quiet=True, observers=[Closes(-1)])
    assert str(caught.value) == (
        f"{out / 'model.safetensors'} cannot be written to: {DENIED}; no weights of this run are kept"
    )


def test_the_checkpoint_before_is_whole(out: Path, usual: dict[str, Any], caplog: pytest.LogCaptureFixture) -> None:
    """Warnings name the checkpoints that could not be written; the run goes on from the one before it, to its end."""
    with caplog.at_level(logging.WARNING), pytest.raises(lossreg.RunFailedError) as caught, reopened(out):
        lossreg.run(**usual, quiet=True, observers=[Closes(1)])
    assert str(caught.value) == f"{out / 'model.safetensors'} cannot be written to: {DENIED}"
    checkpoints = out / "checkpoints"
    for name in ("epoch-0002-step-00000004", "epoch-0003-step-00000006"):
        assert f"the checkpoint {checkpoints / name} could not be written: {DENIED}; the run goes on" in caplog.text
    (checkpoint,) = CheckpointFolder(checkpoints).list()
    checkpoint.verify()
    assert checkpoint.facts["step"] == 2
    lossreg.run(resume=out, data=usual["data"], model=nn.Linear(2, 1), quiet=True)
    record = json.loads((out / "run.json").read_text())
    assert (record["status"], record["epochs_done"]) == ("finished", 3)


def test_a_file_system_that_was_made_read_only_is_named() -> None:
    """What the system says becomes a reason and what to do."""
    said = why_not_written(OSError(errno.EROFS, "Read-only file system"))
    assert said == "the file system can only be read; name a directory on another disk as out (--out)"
