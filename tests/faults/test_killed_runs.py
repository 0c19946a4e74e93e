"""Runs are killed at random moments, and while they save; what goes on afterwards comes to the same bits."""

from __future__ import annotations

import shutil
import signal
import time
from pathlib import Path

import pytest

from lossreg.errors import CheckpointError
from tests.faults.campaign import Campaign
from tests.faults.child import Breaking
from tests.faults.runs import KINDS, SMALL, Child, completed, difference, newest_step, notes, result_of, until

CALLS = 70  # system calls of a save with what it removes; some have fewer, and are not killed then
AMID = "of them amid a save"
SAVES = 3  # of a run that is left, in which one is chosen


class Killed:
    """A run that is killed again and again.

    Args:
        campaign: Counts.
        python: The fixture `warm_python`.
        scratch: Where it is kept.
        kind: One of `KINDS`.
        broken: What does not work in it.
    """

    def __init__(self, campaign: Campaign, python: str, scratch: Path, kind: str, broken: str | None) -> None:
        self.campaign, self.python, self.broken = campaign, python, broken
        self.scratch = scratch / kind
        self.scratch.mkdir()
        self.begin = (*SMALL, *KINDS[kind], "--out")
        self.seconds = completed(python, self.scratch, (*self.begin, str(self.scratch / "whole")))
        self.whole = result_of(self.scratch / "whole")

    def what_breaks(self, kills: int) -> list[str]:
        """Kills a run, what goes on with it, and so on, and has it come to its end; what is wrong then."""
        run = self.scratch / "run"
        words = (*self.begin, str(run))
        for _ in range(kills):
            self._kill(words)
            least = self._noted()
            try:
                step = newest_step(run)
            except CheckpointError as error:
                return [str(error)]
            if (step or 0) < least:
                return [f"step {step} is the newest, and {least} had been written"]
            if step is None:
                shutil.rmtree(run, ignore_errors=True)
            else:
                words = ("run", "--no-plots", "--resume", str(run))
            if (run / "run.json").exists() and '"finished"' in (run / "run.json").read_text():
                break
        else:
            with Child(self.python, Breaking(str(self.scratch / "noted"), broken=self.broken), words) as child:
                if child.wait():
                    return child.said()
        self.campaign.count("runs brought to their end")
        found = difference(self.whole, result_of(run))
        shutil.rmtree(run)
        (self.scratch / "noted").unlink()
        return [] if found is None else [found]

    def _noted(self) -> int:
        """The last step whose writing has ended."""
        return max((int(line) for line in notes(self.scratch / "noted") if line.isdecimal()), default=0)

    def _kill(self, words: tuple[str, ...]) -> None:
        """Starts a process and kills it, unless it ends before."""
        noted, chance = self.scratch / "noted", self.campaign.random
        amid = 2 * self.campaign.counts[AMID] <= self.campaign.counts["kills"]
        dies = (chance.randrange(SAVES), chance.randrange(CALLS)) if amid else None
        begun = notes(noted).count("begun")
        with Child(self.python, Breaking(str(noted), dies=dies, broken=self.broken), words) as child:
            if not amid:
                until(lambda: notes(noted).count("begun") > begun)
                time.sleep(chance.uniform(0, 0.8 * self.seconds))
                child.send(signal.SIGKILL)
            code = child.wait()
            assert code in (0, -signal.SIGKILL), child.said()
        self.campaign.count("processes that ended before", code == 0)
        self.campaign.count("kills", code != 0)
        self.campaign.count(AMID, amid and code != 0)


def what_kills_break(
    campaign: Campaign, python: str, scratch: Path, kills: int, broken: str | None = None
) -> list[str]:
    """Kills so many processes of runs, until something is wrong."""
    found: list[str] = []
    kinds = list(KINDS) if broken is None else ["averaged"]
    killed = [Killed(campaign, python, scratch, kind, broken) for kind in kinds]
    while campaign.counts["kills"] < kills and not found:
        for each in killed:
            found += each.what_breaks(campaign.random.randint(1, 4))
    return found


def test_kills_of_runs(campaign: Campaign, scratch: Path, warm_python: str) -> None:
    """After each there is a checkpoint that is whole, unless there was none yet; in the end the bits are the same."""
    assert what_kills_break(campaign, warm_python, scratch, campaign.of(30, 500)) == []
    assert campaign.counts["kills"] // 4 <= campaign.counts[AMID] <= campaign.counts["kills"] * 3 // 4


@pytest.mark.parametrize("broken", ["forget_optimizer", "forget_generators", "write_in_place"])
def test_control_of_killed_runs(campaign: Campaign, scratch: Path, warm_python: str, broken: str) -> None:
    """A resume that leaves out the optimizer or the generators is caught, and so is a checkpoint written in place."""
    assert what_kills_break(campaign, warm_python, scratch, 60, broken) != []
