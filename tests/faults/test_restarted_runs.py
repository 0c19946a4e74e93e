"""torchrun starts the processes of a run again after one was killed: it goes on by itself, to the same bits."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
import torch

from tests.faults.campaign import Campaign
from tests.faults.child import Breaking
from tests.faults.runs import KINDS, ROOT, SMALL, difference, ends, notes, result_of, started, until

#: Processes of torchrun each import torch: few and longer runs tell as much.
OPTIONS = (*SMALL, *KINDS["adam"])


@contextlib.contextmanager
def torchrun(folder: Path, words: tuple[str, ...], breaking: Breaking) -> Iterator[subprocess.Popen[bytes]]:
    """Two processes that torchrun starts, and starts again, in a folder; what they say is in the file `said` there."""
    start = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "--max-restarts", "2")
    command = [sys.executable, *start, "-m", "tests.faults.child", breaking.to_json(), *words]
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    with (
        (folder / "said").open("wb") as said,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=said, stderr=said) as process,
    ):
        try:
            yield process
        finally:
            process.terminate()


def processes(breaking: Breaking) -> list[int]:
    """The numbers of the processes that have begun."""
    return [int(line.split()[1]) for line in notes(Path(breaking.noted)) if line.startswith("pid")]


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A run of two processes of which none was killed."""
    folder = tmp_path_factory.mktemp("whole")
    with torchrun(folder, (*OPTIONS, "--out", "run"), Breaking(str(folder / "noted"))) as process:
        assert process.wait(300) == 0, (folder / "said").read_text()
    return folder / "run"


@pytest.mark.parametrize("is_named", [True, False])
def test_restarts_by_torchrun(campaign: Campaign, tmp_path: Path, whole: Path, is_named: bool) -> None:
    """One process of two is killed, before the first checkpoint or later: the run comes to the bits of a whole one."""
    for turn in range(campaign.of(1, 10)):
        folder = tmp_path / str(turn)
        folder.mkdir()
        breaking = Breaking(str(folder / "noted"))
        with torchrun(folder, (*OPTIONS, *(("--out", "run") if is_named else ())), breaking) as process:
            until(lambda breaking=breaking: len(processes(breaking)) == 2)  # type: ignore[misc]  # mypy: a default of a lambda
            saves = campaign.random.choice([0, 1, 2, 5]) if turn else 2 if is_named else 0
            until(lambda breaking=breaking, saves=saves: len(notes(Path(breaking.noted))) >= 4 + saves)  # type: ignore[misc]  # as above
            os.kill(campaign.random.choice(processes(breaking)), signal.SIGKILL)
            campaign.count("kills")
            assert process.wait(300) == 0, (folder / "said").read_text()
        campaign.count("processes started again", len(processes(breaking)) - 2)
        (run,) = [folder / "run"] if is_named else (folder / "runs").iterdir()
        assert difference(result_of(whole), result_of(run)) is None
        assert len(processes(breaking)) == 4
        shutil.rmtree(folder)


def test_sigterm_to_torchrun(campaign: Campaign, tmp_path: Path, whole: Path, warm_python: str) -> None:
    """It passes the signal on: the run is saved, and goes on to the same bits."""
    for turn in range(campaign.of(1, 5)):
        folder = tmp_path / str(turn)
        folder.mkdir()
        breaking = Breaking(str(folder / "noted"))
        with torchrun(folder, (*OPTIONS, "--out", "run"), breaking) as process:
            until(lambda breaking=breaking: len(notes(Path(breaking.noted))) > 5)  # type: ignore[misc]  # as above
            time.sleep(campaign.random.uniform(0, 0.1))
            process.terminate()
            assert process.wait(300) != 0
            campaign.count("signals")
        assert "\nlossreg run --resume " in (folder / "said").read_text()
        children = started(warm_python, folder, ("run", "--no-plots", "--resume", str(folder / "run")), 2)
        assert ends(children) == [0, 0], children[0].said()
        assert difference(result_of(whole), result_of(folder / "run")) is None


@pytest.mark.parametrize(("before", "after"), [(2, 1), (1, 2)])
def test_other_numbers_of_processes(scratch: Path, warm_python: str, before: int, after: int) -> None:
    """A run that goes on in another number of processes sees the samples in the same order: it differs by rounding."""
    words = (
        *SMALL[:3],
        *SMALL[5:],
        "--opt",
        "sgd(lr=0.01, momentum=0.9)",
        "--sched",
        "cosine_annealing_lr(T_max=5)",
        "--model",
        "mlp",
    )
    run, whole = scratch / "run", scratch / "whole"
    for processes, command in (
        (1, (*words, "--out", str(whole))),
        (before, (*words, "--max-steps", "15", "--out", str(run))),
        (after, ("run", "--no-plots", "--resume", str(run), "--max-steps", "1000")),
    ):
        children = started(warm_python, scratch, command, processes)
        assert ends(children) == [0] * processes, children[0].said()
    one, other = result_of(whole), result_of(run)
    assert [row["step"] for row in one["rows"]] == [row["step"] for row in other["rows"]]
    for name, value in one["weights"].items():
        torch.testing.assert_close(other["weights"][name], value, rtol=1e-4, atol=1e-6)
