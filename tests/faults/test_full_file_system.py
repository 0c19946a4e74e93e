"""A small file system that fills up, with the system's own errors."""

from __future__ import annotations

import errno
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from lossreg.checkpoints.folder import CheckpointFolder
from tests.faults.campaign import Campaign
from tests.faults.writers import Writer, save, save_again, save_and_remove_first, save_in_place, why_broken

ROOM = 256  # KiB; a checkpoint of the campaigns takes some 24


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of `ROOM`."""
    if sys.platform != "linux" or os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("only root on Linux can mount a file system")
    folder = tmp_path / "small"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", f"size={ROOM}k", "tmpfs", str(folder)]
    done = subprocess.run(mount, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no file system can be mounted here: {done.stderr.strip()}")
    yield folder
    subprocess.run(["umount", str(folder)], check=True)


def what_a_full_disk_breaks(campaign: Campaign, writer: Writer, small: Path) -> list[str]:
    """Saves with less and less room; what is wrong afterwards."""
    folder, ballast, least = small / "checkpoints", small / "ballast", 2
    broken: list[str] = []
    for step in (1, 2):
        writer(folder, step)
    for room in range(0, 64, campaign.of(8, 1)):  # KiB
        ballast.write_bytes(b"\0" * (os.statvfs(small).f_bavail * 4096 - room * 1024 // 4096 * 4096))
        try:
            writer(folder, least + 1)
            least += 1
            campaign.count("saves that fitted")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
            campaign.count("saves on a full disk")
        why = why_broken(folder, least)
        ballast.unlink()
        if why is not None:
            return [*broken, f"with room for {room} KiB: {why}"]
        if any(path.name.startswith(".") for path in folder.iterdir()):
            broken.append("something is left over")
    writer(folder, least + 1)
    why = why_broken(folder, least + 1)
    return broken if why is None else [*broken, why]


@pytest.mark.parametrize("writer", [save, save_again])
def test_a_file_system_that_fills_up(campaign: Campaign, small: Path, writer: Writer) -> None:
    """The checkpoint before is whole, nothing is left over, and the next save succeeds where there is room."""
    assert what_a_full_disk_breaks(campaign, writer, small) == []
    assert campaign.counts["saves on a full disk"]
    assert campaign.counts["saves that fitted"]
    assert CheckpointFolder(small / "checkpoints").sweep() == ()


@pytest.mark.parametrize("writer", [save_in_place, save_and_remove_first])
def test_control_of_full_file_systems(campaign: Campaign, small: Path, writer: Writer) -> None:
    """Writers that remove what they had before they have another are caught."""
    assert what_a_full_disk_breaks(campaign, writer, small) != []
