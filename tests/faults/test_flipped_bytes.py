"""Checkpoints with one byte that has changed, or that end too early."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from pathlib import Path

from safetensors.torch import load_file

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.errors import CheckpointError
from tests.faults.campaign import Campaign
from tests.faults.writers import contents, save


def damage(campaign: Campaign, data: bytes) -> bytes:
    """The data with a byte that has changed, or without their end."""
    place = campaign.random.randrange(len(data))
    if campaign.random.random() < 0.25:
        campaign.count("truncations")
        return data[:place]
    campaign.count("flips")
    return data[:place] + bytes([data[place] ^ campaign.random.randrange(1, 256)]) + data[place + 1 :]


def undetected(campaign: Campaign, folder: Path, number: int, is_found: Callable[[Path], bool]) -> list[str]:
    """Damages the files of a checkpoint one after another; those whose damage is not found."""
    (path,) = folder.iterdir()
    files, missed = sorted(path.iterdir()), []
    for turn in range(number):
        file = files[turn % len(files)]
        data = file.read_bytes()
        file.write_bytes(damage(campaign, data))
        if not is_found(path):
            missed.append(file.name)
        file.write_bytes(data)
    return missed


def is_found_by_us(path: Path) -> bool:
    """Whether the newest checkpoint is not taken, and the error names it."""
    try:
        CheckpointFolder(path.parent).newest()
    except CheckpointError as error:
        return path.name in str(error)
    return False


def is_found_by_the_format(path: Path) -> bool:
    """Whether safetensors and JSON themselves find the damage."""
    with contextlib.suppress(Exception):
        load_file(path / "model.safetensors")
        load_file(path / "state.safetensors")
        (path / "state.json").read_text(encoding="utf-8")
        return False
    return True


def test_flips_and_truncations(campaign: Campaign, scratch: Path) -> None:
    """Every one is found, wherever it is."""
    folder = scratch / "checkpoints"
    save(folder, 1)
    assert undetected(campaign, folder, campaign.of(200, 2000), is_found_by_us) == []
    assert CheckpointFolder(folder).newest().facts == contents(1)[0]


def test_every_byte_of_a_manifest(campaign: Campaign, scratch: Path) -> None:
    """Each one counts, since the manifest ends in its own hash."""
    save(scratch / "checkpoints", 1)
    file = scratch / "checkpoints" / "step-1" / "manifest.json"
    data = file.read_bytes()
    for place in range(len(data)):
        for bit in campaign.of([place % 8], list(range(8))):
            file.write_bytes(data[:place] + bytes([data[place] ^ 1 << bit]) + data[place + 1 :])
            campaign.count("flips")
            assert is_found_by_us(file.parent)


def test_control_of_flips(campaign: Campaign, scratch: Path) -> None:
    """A reader without a manifest takes damaged tensors as they are, and is caught."""
    save(scratch / "checkpoints", 1)
    assert undetected(campaign, scratch / "checkpoints", 100, is_found_by_the_format) != []
