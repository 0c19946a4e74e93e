"""When a checkpoint is due by steps, and when it is not."""

from __future__ import annotations

from typing import TYPE_CHECKING

from lossreg.checkpoints.folder import CheckpointFolder

if TYPE_CHECKING:
    from tests.lossreg.training.resume.conftest import Finish


def test_what_was_due_in_the_last_step_of_an_epoch_is_not_due_again_after_it(finish: Finish) -> None:
    """Of 3 epochs of 4 steps, one every 4 steps: none but the last is written after the row of its epoch, too."""
    ended = finish(epochs=3, keep=9, checkpoint_every="4s")
    written = CheckpointFolder(ended.result.directory / "checkpoints").list()
    assert [(one.facts["step"], one.facts["phase"]) for one in written] == [
        (12, "recorded"), (12, "training"), (8, "training"), (4, "training"),
    ]  # fmt: skip
