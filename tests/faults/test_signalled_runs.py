"""Runs are sent signals at random moments: each saves, says how to go on, and comes to the same bits."""

from __future__ import annotations

import json
import shutil
import signal
import time
from pathlib import Path
from typing import Any

import pytest

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.checkpoints.weights_file import read_weights
from lossreg.errors import CheckpointError
from tests.faults.campaign import Campaign
from tests.faults.child import Breaking
from tests.faults.runs import KINDS, SMALL, Child, difference, ends, newest_step, notes, result_of, started, until

SIGNALS = (signal.SIGTERM, signal.SIGINT, signal.SIGUSR1)
PASSES = {"train": 32, "eval": 32}  # forward passes of a run, of which one sends the signal


class Signalled:
    """Runs of one kind that are sent signals.

    Args:
        campaign: Counts.
        python: The fixture `warm_python`.
        scratch: Where they are kept.
        options: What the run has in addition to `SMALL`.
        processes: How many train together.
        broken: What does not work in it.
    """

    def __init__(
        self,
        campaign: Campaign,
        python: str,
        scratch: Path,
        options: tuple[str, ...],
        processes: int = 1,
        broken: str | None = None,
    ) -> None:
        self.campaign, self.python, self.processes, self.broken = campaign, python, processes, broken
        self.scratch = scratch / f"{processes}-{options[1].partition('(')[0]}"
        self.scratch.mkdir()
        self.run = self.scratch / "run"
        self.begin = (*SMALL, *options, "--out")
        before = time.monotonic()
        children = self.start((*self.begin, str(self.scratch / "whole")))
        assert ends(children) == [0] * processes, children[0].said()
        self.seconds = time.monotonic() - before
        self.whole = result_of(self.scratch / "whole")

    def start(self, words: tuple[str, ...], **breaking: Any) -> list[Child]:
        """The processes of a run; only the last of them has what sends a signal in the model."""
        return started(self.python, self.scratch, words, self.processes, broken=self.broken, **breaking)

    def what_breaks(self, number: int, when: str) -> str | None:
        """Sends a signal to a run; what is wrong then, and when it has gone on.

        Args:
            number: The signal.
            when: The mode of the model in which it comes, `startup`, or `anytime`.
        """
        words, chance = (*self.begin, str(self.run)), self.campaign.random
        sends = (number, when, chance.randint(1, PASSES[when])) if when in PASSES else None
        children = self.start(words, sends=sends)
        if sends is None:
            until(lambda: all(child.has_begun() for child in children))
            time.sleep(chance.uniform(0, self.seconds * (0.4 if when == "startup" else 0.8)))
            for child in children:
                child.send(number)
        return self.what_is_wrong(number, children)

    def what_is_wrong(self, number: int, children: list[Child]) -> str | None:
        """Waits for the end of a run that was sent a signal, and has it go on."""
        codes = ends(children)
        said = "\n".join(children[0].said())
        if self._is_finished() and set(codes) <= {0, -number, 128 + number}:
            self.campaign.count("runs that ended before")
        elif set(codes) == {128 + number}:
            self.campaign.count(signal.Signals(number).name)
            if (self.run / "checkpoints").exists() or said.endswith(f"\nlossreg run --resume {self.run}"):
                return self._what_is_wrong_with_saved(said) or self._goes_on()
            return self._what_is_left(said)
        elif -number in codes and set(codes) <= {-number, 128 + number} and not self.run.exists():
            self.campaign.count("ends before lossreg listens")
            return None
        elif codes == [1, 128 + number] and "another process of this run ended" in said and not self.run.exists():
            self.campaign.count("start-ups that ended in one process")
            return None
        else:
            return f"exit codes {codes}: {said}"
        return self._what_differs()

    def _is_finished(self) -> bool:
        """Whether the record is complete: a signal afterwards ends the command and changes nothing."""
        file = self.run / "run.json"
        return file.exists() and json.loads(file.read_text())["status"] == "finished"

    def _what_is_left(self, said: str) -> str | None:
        """What is wrong after a signal in start-up: nothing is left, or what `run` itself says can be removed."""
        self.campaign.count("in start-up")
        if self.run.exists() and any(self.run.iterdir()):
            self.campaign.count("of them with a directory")
            if "run --resume" in said:
                return f"it cannot go on, but says so: {said}"
            shutil.rmtree(self.run)
        elif self.run.exists():
            return f"an empty directory is left: {said}"
        return None

    def _what_is_wrong_with_saved(self, said: str) -> str | None:
        """Whether the checkpoint is of the last step, and the last line says how to go on."""
        if not said.endswith(f"\nlossreg run --resume {self.run}"):
            return f"the last line is not the command that goes on: {said}"
        record = json.loads((self.run / "run.json").read_text())
        try:
            newest = CheckpointFolder(self.run / "checkpoints").newest()
        except CheckpointError as error:
            return str(error)
        self.campaign.count(f"while {newest.facts['phase']}")
        if record["status"] != "interrupted":
            return f"run.json says {record['status']}"
        step = record["steps_done"]
        if newest_step(self.run) != step:
            return f"the checkpoint is of step {newest.facts['step']}, and the run ended at {step}"
        if not record["choosing"].get("patience"):  # else the weights are those of the best epoch
            step_of_weights = int(read_weights(self.run / "model.safetensors")[1]["step"])
            if step_of_weights != step:
                return f"the weights are of step {step_of_weights}, and the run ended at {step}"
        return None

    def _goes_on(self) -> str | None:
        children = self.start(("run", "--no-plots", "--resume", str(self.run)))
        codes = ends(children)
        return self._what_differs() if set(codes) == {0} else f"exit codes {codes}: {children[0].said()}"

    def _what_differs(self) -> str | None:
        found = difference(self.whole, result_of(self.run))
        shutil.rmtree(self.run)
        return None if found is None else f"another result: {found}"


def what_signals_break(signalled: list[Signalled], times: int) -> list[str]:
    """Sends so many signals, each at another kind of moment; what is wrong."""
    campaign = signalled[0].campaign
    found: list[str] = []
    turn, before = 0, sum(campaign.counts[one.name] for one in SIGNALS)  # of another part of the same test
    while sum(campaign.counts[one.name] for one in SIGNALS) < before + times and not found:
        when = ("train", "eval", "startup", "eval", "anytime")[turn % 5]
        wrong = signalled[turn % len(signalled)].what_breaks(SIGNALS[turn % 3], when)
        found += [] if wrong is None else [f"{SIGNALS[turn % 3].name}, {when}: {wrong}"]
        turn += 1
    return found


def test_signals_to_runs(campaign: Campaign, scratch: Path, warm_python: str) -> None:
    """Exit code 128 + signal, the checkpoint is of the last step, the last line goes on, and to the same bits."""
    kinds = list(KINDS.values())[: campaign.of(1, 3)]
    signalled = [Signalled(campaign, warm_python, scratch, options) for options in kinds]
    assert what_signals_break(signalled, campaign.of(8, 100)) == []
    assert all(campaign.counts[f"while {phase}"] for phase in campaign.of(["training"], ["training", "evaluating"]))


def test_signals_to_two_processes(campaign: Campaign, scratch: Path, warm_python: str) -> None:
    """Likewise, whether all of them get the signal or one: they end after the same step."""
    signalled = [Signalled(campaign, warm_python, scratch, KINDS["adam"], processes=2)]
    assert what_signals_break(signalled, campaign.of(4, 100)) == []


def test_signals_to_the_process_group(campaign: Campaign, scratch: Path, warm_python: str) -> None:
    """Likewise, if workers that read samples get the signal too, as from a terminal or SLURM."""
    options = (*KINDS["adam"], "--loader", "dataloader", "--workers", "2")
    signalled = Signalled(campaign, warm_python, scratch, options)
    for turn in range(campaign.of(2, 24)):
        children = signalled.start((*signalled.begin, str(signalled.run)), leads=True)
        until(lambda: len(notes(signalled.scratch / "noted-0")) > 2)
        time.sleep(campaign.random.uniform(0, signalled.seconds / 4))
        children[0].send(SIGNALS[turn % 3], to_group=True)
        assert signalled.what_is_wrong(SIGNALS[turn % 3], children) is None


@pytest.mark.parametrize("number", SIGNALS)
def test_a_second_signal_ends_a_run_at_once(
    campaign: Campaign, scratch: Path, warm_python: str, number: signal.Signals
) -> None:
    """A step that does not come to its end is broken off by the second signal; an older checkpoint is whole."""
    noted, run = scratch / "noted", scratch / "run"
    words = (*SMALL, *KINDS["adam"], "--out", str(run))
    with Child(warm_python, Breaking(str(noted), sends=(number, "train", 25), hangs=True), words) as child:
        until(lambda: "hangs" in notes(noted))
        child.send(number)
        assert child.wait() == 128 + number
        campaign.count("second signals")
        assert child.said()[-1] == f"lossreg run --resume {run}"
    assert newest_step(run) is not None


def test_control_of_signals(campaign: Campaign, scratch: Path, warm_python: str) -> None:
    """A run that does not save when a signal comes is caught, and so is one that goes on without its optimizer."""
    for broken in ("save_nothing", "forget_optimizer"):
        (scratch / broken).mkdir()
        signalled = Signalled(campaign, warm_python, scratch / broken, KINDS["averaged"], broken=broken)
        wrong = (signalled.what_breaks(SIGNALS[turn % 3], "train") for turn in range(12))
        assert any(one is not None for one in wrong)  # between two steps, where both are broken
