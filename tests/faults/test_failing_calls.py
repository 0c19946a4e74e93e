"""Saving while system calls fail."""

from __future__ import annotations

import errno
import shutil
from pathlib import Path

import pytest

from lossreg.checkpoints.folder import CheckpointFolder
from tests.faults.campaign import Campaign
from tests.faults.system_calls import calls_of, failing
from tests.faults.writers import Writer, save, save_again, save_and_remove_first, save_in_place, why_broken

ERRORS = [errno.ENOSPC, errno.EDQUOT, errno.EIO, errno.EROFS, errno.EINTR]


def what_breaks(campaign: Campaign, writer: Writer, scratch: Path) -> list[str]:
    """Has each system call of a save fail in turn; what is wrong afterwards."""
    good, broken = scratch / "good", []
    for step in (1, 2):
        writer(good, step)
    counted = shutil.copytree(good, scratch / "counted")
    calls = calls_of(lambda: writer(counted, 3))
    campaign.count("system calls of a save", len(calls))
    for at in range(len(calls)):
        for number in campaign.of([ERRORS[at % len(ERRORS)]], ERRORS):
            for stays in campaign.of([at % 2 == 0], [False, True]) if number != errno.EINTR else [False]:
                folder = shutil.copytree(good, scratch / "faulty")
                why = what_a_fault_breaks(campaign, writer, folder, at, number, stays=stays)
                if why is not None:
                    broken.append(f"{errno.errorcode[number]} in {calls[at]}, call {at}: {why}")
                shutil.rmtree(folder)
    return broken


def what_a_fault_breaks(
    campaign: Campaign, writer: Writer, folder: Path, at: int, number: int, *, stays: bool
) -> str | None:
    """Saves with one fault, and again without; what is wrong, or None."""
    least = 3
    campaign.count("faults")
    try:
        with failing(at, number, stays=stays):
            writer(folder, 3)
    except OSError as error:
        least = 2
        campaign.count("errors told")
        if error.errno != number:
            return f"the error is {error}"
        if number == errno.EINTR:
            return "an interrupted call was not made again"
    why = why_broken(folder, least)
    if why is None:
        CheckpointFolder(folder).sweep()
        writer(folder, 4)
        why = why_broken(folder, 4)
        if any(path.name.startswith(".") for path in folder.iterdir()):
            return "something is left over"
    return why


@pytest.mark.parametrize("writer", [save, save_again])
def test_a_call_that_fails_while_saving(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """The error is told, the checkpoint before is whole, and the next save succeeds."""
    assert what_breaks(campaign, writer, scratch) == []


@pytest.mark.parametrize("writer", [save_in_place, save_and_remove_first])
def test_control_of_calls_that_fail(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """Writers that harm the checkpoint before are caught."""
    assert what_breaks(campaign, writer, scratch) != []
