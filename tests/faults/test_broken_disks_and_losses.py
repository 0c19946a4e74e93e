"""Runs whose disk fills up or cannot be written to, and runs whose numbers stop being finite."""

from __future__ import annotations

import os
from pathlib import Path

from lossreg.checkpoints.folder import CheckpointFolder
from tests.faults.campaign import Campaign
from tests.faults.child import Breaking
from tests.faults.runs import KINDS, SMALL, Child, completed, difference, newest_step, notes, result_of, until
from tests.faults.test_full_file_system import small

__all__ = ["small"]  # a fixture

ADAM = (*SMALL, *KINDS["adam"])


def filled(folder: Path) -> Path:
    """A file that takes all room of a file system."""
    ballast = folder / "ballast"
    ballast.write_bytes(b"\0" * os.statvfs(folder).f_bavail * 4096)
    return ballast


def test_a_disk_that_fills_up_and_has_room_again(
    campaign: Campaign, scratch: Path, small: Path, warm_python: str
) -> None:
    """The run goes on, warns, tries again, ends with 0 and the same bits; meanwhile the checkpoint before is whole."""
    completed(warm_python, scratch, (*ADAM, "--out", str(scratch / "whole")))
    run, breaking = small / "run", Breaking(str(scratch / "noted"), slow=0.1)
    with Child(warm_python, breaking, (*ADAM, "--out", str(run))) as child:
        until(lambda: len(notes(Path(breaking.noted))) >= 4)
        ballast = filled(small)
        until(lambda: "could not be written" in child.stderr.read_text())
        campaign.count("saves that failed", child.stderr.read_text().count("could not be written"))
        assert newest_step(run) is not None
        ballast.unlink()
        saved = len(notes(Path(breaking.noted)))
        until(lambda: len(notes(Path(breaking.noted))) > saved)
        assert child.wait() == 0, child.said()
    assert difference(result_of(scratch / "whole"), result_of(run)) is None


def test_weights_that_are_not_finite(campaign: Campaign, scratch: Path, warm_python: str) -> None:
    """A run whose output becomes infinite ends with 1, and all of its checkpoints are whole and finite."""
    for turn in range(campaign.of(2, 40)):
        run = scratch / str(turn)
        breaking = Breaking(str(scratch / "noted"), blows_up=campaign.random.randint(4, 30))
        with Child(warm_python, breaking, (*ADAM, "--out", str(run))) as child:
            code = child.wait()
            assert code in (1, 2), child.said()
        campaign.count("runs that ended", code == 1)
        for checkpoint in CheckpointFolder(run / "checkpoints").list() if run.exists() else ():
            checkpoint.verify()
            weights = checkpoint.read_weights()
            assert all(bool(one.isfinite().all()) for one in weights.values()), checkpoint.path
            campaign.count("checkpoints that are finite")
