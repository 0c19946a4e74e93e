"""Saving until the power fails: after each system call, with what was not synced there, half there, or not there."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import pytest

from tests.faults.campaign import Campaign
from tests.faults.disk import LOSSES, Disk, put_down
from tests.faults.system_calls import watched
from tests.faults.writers import Writer, save, save_again, save_and_remove_first, save_in_place, why_broken


def what_a_loss_breaks(campaign: Campaign, writer: Writer, scratch: Path, steps: int) -> list[str]:
    """Saves checkpoints; what is wrong with what a loss of power leaves of them."""
    root, ended = scratch / "run", 0
    root.mkdir()
    disk = Disk(root)
    seen: set[tuple[int, str]] = set()
    broken: list[str] = []

    def fail(number: int, name: str, arguments: tuple[Any, ...]) -> None:
        for names, data in LOSSES:
            content = disk.left(names, data)
            state = (ended, repr(content))
            campaign.count("losses of power")
            if ended and state not in seen:
                seen.add(state)
                campaign.count("different disks")
                put_down(content, scratch / "lost")
                why = why_broken(scratch / "lost" / "checkpoints", ended)
                shutil.rmtree(scratch / "lost")
                if why is not None:
                    broken.append(
                        f"step {ended + 1}, before call {number} ({name}), {names} names, {data} bytes: {why}"
                    )

    with watched(fail, disk.tell):
        for step in range(1, steps + 1):
            writer(root / "checkpoints", step)
            ended = step
    return broken


@pytest.mark.parametrize("writer", [save, save_again])
def test_a_loss_of_power(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """A checkpoint whose writing had ended, or one that is newer, is whole."""
    assert what_a_loss_breaks(campaign, writer, scratch, campaign.of(4, 12)) == []


@pytest.mark.parametrize("writer", [save_in_place, save_and_remove_first])
def test_control_of_losses_of_power(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """Writers that remove what they had before they have another are caught."""
    assert what_a_loss_breaks(campaign, writer, scratch, 3) != []


@pytest.mark.parametrize("left_out", ["_sync", "sync_directory"])
def test_control_of_syncing(campaign: Campaign, scratch: Path, monkeypatch: pytest.MonkeyPatch, left_out: str) -> None:
    """Our writer without the syncs of files, or of folders, is caught."""

    def nothing(_: Any) -> None:
        pass

    monkeypatch.setattr(f"lossreg.checkpoints.{'durable' if left_out == '_sync' else 'folder'}.{left_out}", nothing)
    assert what_a_loss_breaks(campaign, save, scratch, 4) != []
