"""Which checkpoints a run writes and keeps, and what they say of themselves."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

import lossreg
from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.training.record.directory import RunDirectory

if TYPE_CHECKING:
    from pathlib import Path

    from tests.lossreg.training.resume.conftest import BreakOff, Finish


def facts(directory: Path) -> list[dict[str, Any]]:
    """What the checkpoints of a run say, newest first."""
    return [dict(one.facts) for one in CheckpointFolder(directory / "checkpoints").list()]


@pytest.mark.parametrize("keep", [1, 2, 3])
def test_the_newest_are_kept(finish: Finish, keep: int) -> None:
    """One after each of 4 epochs of 4 steps is written."""
    ended = finish(epochs=4, keep=keep)
    assert [one["step"] for one in facts(ended.result.directory)] == [16, 12, 8, 4][:keep]


def test_they_are_written_by_steps(finish: Finish) -> None:
    """And at the end of the run."""
    ended = finish(epochs=3, keep=9, checkpoint_every="5s")
    assert [(one["step"], one["phase"]) for one in facts(ended.result.directory)] == [
        (12, "recorded"), (10, "training"), (5, "training"),
    ]  # fmt: skip


def test_the_best_is_kept_beside_the_newest(finish: Finish) -> None:
    """Training with a rate that grows gets worse: the best is an early one."""
    grows = {"scheduler": "lambda_lr(lr_lambda='20 ** epoch')", "epochs": 5, "validate": 0.3}
    ended = finish(keep=1, best="validation_loss", **grows)
    rows = [row for row in ended.rows if row["kind"] == "epoch"]
    best = min(rows, key=lambda row: float(row["validation_loss"]))
    kept = facts(ended.result.directory)
    assert [one["step"] for one in kept] == sorted({rows[-1]["step"], best["step"]}, reverse=True)
    assert kept[-1]["best"] == f"validation_loss={best['validation_loss']:g}"


def test_a_checkpoint_says_which_weights_it_holds(finish: Finish, break_off: BreakOff) -> None:
    """Those of training between steps; after an epoch those that were evaluated."""
    averaged = {"weights": "ema(0.9)"}
    assert facts(break_off(6, **averaged))[0]["weights"] == "raw"
    assert facts(finish(**averaged).result.directory)[0]["weights"] == "ema(0.9)"


def test_a_directory_is_one_process_at_a_time(finish: Finish, break_off: BreakOff) -> None:
    """A second one is refused, and nothing of its claim is left when the run is over."""
    directory = break_off(6)
    held = RunDirectory.reopen(directory)
    with pytest.raises(lossreg.LossregError, match="a process still works on it"):
        finish(resume=directory)
    held.close()
    finish(resume=directory)
    assert [path.name for path in directory.iterdir() if path.name.startswith(".")] == []


def test_a_run_without_checkpoints_cannot_go_on(finish: Finish) -> None:
    """The error says what begins it anew."""
    ended = finish(checkpoint_every=None)
    with pytest.raises(lossreg.ConfigError, match="has no checkpoint to go on from"):
        finish(resume=ended.result.directory, epochs=4)
