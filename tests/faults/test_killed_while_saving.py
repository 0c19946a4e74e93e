"""Processes that save are killed, which nothing can be done about in them."""

from __future__ import annotations

import itertools
import os
import shutil
import signal
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lossreg.checkpoints.folder import CheckpointFolder
from tests.faults.campaign import Campaign
from tests.faults.system_calls import calls_of, watched
from tests.faults.writers import Writer, save, save_again, save_and_remove_first, save_in_place, why_broken


def child(work: Callable[[], object]) -> int:
    """A process that does some work, with all that is imported here; the number of it."""
    pid = os.fork()
    if pid:
        return pid
    try:
        work()
    finally:
        os._exit(1)  # nothing of pytest is to go on in it


def wait(until: Callable[[], bool], most: float = 60) -> None:
    """Waits for something that another process does, for some seconds at most."""
    deadline = time.monotonic() + most
    while not until() and time.monotonic() < deadline:
        time.sleep(0.0002)


def is_amid(folder: Path) -> bool:
    """Whether a checkpoint is being written or removed; or was, when its process was killed."""
    return any(name.startswith(".") for name in os.listdir(folder))  # noqa: PTH208  # which is quicker


def save_without_end(writer: Writer, folder: Path, first: int, ended: Path) -> None:
    """Saves checkpoints, and notes the step of each whose writing has ended."""
    for step in itertools.count(first):
        writer(folder, step)
        with ended.open("ab", buffering=0) as file:
            file.write(f"{step}\n".encode())


def killed_at_random(campaign: Campaign, writer: Writer, scratch: Path, kills: int) -> list[str]:
    """Kills one process after another at random moments; what is wrong afterwards."""
    folder, ended = scratch / "checkpoints", scratch / "ended"
    writer(folder, 1)
    ended.write_text("1\n")
    for turn in range(kills):
        least = int(ended.read_text().split()[-1])
        pid = child(lambda first=least + 1: save_without_end(writer, folder, first, ended))  # type: ignore[misc]  # mypy: a default of a lambda
        wait(lambda least=least: int(ended.read_text().split()[-1]) > least)  # type: ignore[misc]  # as above
        time.sleep(campaign.random.uniform(0, 0.03))
        if turn % 2:
            wait(lambda: is_amid(folder), 0.2)  # not all writers can be seen at it
            time.sleep(campaign.random.uniform(0, 0.003))
        os.kill(pid, signal.SIGKILL)
        _, status = os.waitpid(pid, 0)
        assert os.WIFSIGNALED(status), "the process had ended before"
        campaign.count("kills")
        campaign.count("checkpoints written", int(ended.read_text().split()[-1]) - least)
        campaign.count("kills amid a save", is_amid(folder))
        why = why_broken(folder, int(ended.read_text().split()[-1]))
        if why is not None:
            return [why]
        CheckpointFolder(folder).sweep()
    return []


def killed_at_each_call(campaign: Campaign, writer: Writer, scratch: Path) -> list[str]:
    """Has a process die before each system call of a save in turn; what is wrong afterwards."""
    good, broken = scratch / "good", []
    for step in (1, 2):
        writer(good, step)
    counted = shutil.copytree(good, scratch / "counted")
    calls = calls_of(lambda: writer(counted, 3))

    def die(at: int) -> Callable[[int, str, tuple[object, ...]], None]:
        return lambda number, _name, _arguments: os.kill(os.getpid(), signal.SIGKILL) if number == at else None

    def work(folder: Path, at: int) -> None:
        with watched(die(at)):
            writer(folder, 3)

    for at, name in list(enumerate(calls))[:: campaign.of(4, 1)]:
        folder = shutil.copytree(good, scratch / "killed")
        _, status = os.waitpid(child(lambda folder=folder, at=at: work(folder, at)), 0)  # type: ignore[misc]  # as above
        assert os.WIFSIGNALED(status), "the process ended by itself"
        campaign.count("kills")
        why = why_broken(folder, 2)
        if why is None:
            CheckpointFolder(folder).sweep()
            writer(folder, 4)
            why = why_broken(folder, 4)
        if why is not None:
            broken.append(f"before call {at}, {name}: {why}")
        shutil.rmtree(folder)
    return broken


@pytest.mark.parametrize("writer", [save, save_again])
def test_kills_at_random_moments_of_saving(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """The newest checkpoint that is whole is one that was written, and no older than the last that had ended."""
    assert killed_at_random(campaign, writer, scratch, campaign.of(8, 125)) == []


@pytest.mark.parametrize("writer", [save, save_again])
def test_kills_at_each_call_of_saving(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """Likewise; and after a sweep the next save succeeds."""
    assert killed_at_each_call(campaign, writer, scratch) == []


@pytest.mark.parametrize("writer", [save_in_place, save_and_remove_first])
def test_control_of_kills(campaign: Campaign, scratch: Path, writer: Writer) -> None:
    """Writers that remove what they had before they have another are caught, at random moments too."""
    for name in ("each", "random"):
        (scratch / name).mkdir()
    assert killed_at_each_call(campaign, writer, scratch / "each") != []
    assert killed_at_random(campaign, writer, scratch / "random", 8) != []
