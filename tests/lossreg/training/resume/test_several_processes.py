"""Runs of two processes go on in two, and in another number of them."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch

if TYPE_CHECKING:
    from tests.conftest import Once

from tests.lossreg.training.resume.conftest import differences, rows_of

PROGRAM = Path(__file__).with_name("several.py")
TWO = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


@pytest.fixture(scope="session")
def runs(once: Once, warm_python: str) -> Path:
    """The runs, before, together and after."""

    def fill(root: Path) -> None:
        for phase, started in (("before", ()), ("together", TWO), ("after", ())):
            command = [warm_python, *started, str(PROGRAM), str(root), phase]
            environment = {**os.environ, "OMP_NUM_THREADS": "1"}
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False, timeout=300)
            assert done.returncode == 0, done.stderr

    return once("resumed_together", fill)


def ended(directory: Path) -> dict[str, Any]:
    """What a run ended with."""
    content: dict[str, Any] = torch.load(directory / "ended.pt", weights_only=True)
    return content


def test_two_processes_go_on_exactly(runs: Path) -> None:
    """Weights, optimizer and rows are those of two processes that were never broken off."""
    assert differences(ended(runs / "whole2"), ended(runs / "from2to2")) == []
    assert rows_of(runs / "from2to2") == rows_of(runs / "whole2")


@pytest.mark.parametrize("name", ["from1", "from2to1"])
def test_another_number_of_processes_goes_on(runs: Path, name: str) -> None:
    """From one to two and from two to one: the same samples in the same order, so that only rounding differs."""
    whole, other = ended(runs / "whole1"), ended(runs / name)
    for parameter, value in whole["model"].items():
        torch.testing.assert_close(other["model"][parameter], value, rtol=1e-9, atol=1e-12)
    for row, than in zip(rows_of(runs / "whole1"), rows_of(runs / name), strict=True):
        assert row["train_loss"] == pytest.approx(than["train_loss"], rel=1e-9)
        assert (row["kind"], row["step"], row["lr"]) == (than["kind"], than["step"], than["lr"])
