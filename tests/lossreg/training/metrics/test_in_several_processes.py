"""Metrics that several processes measure together."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from tests.lossreg.training.metrics.together import CASES, measured
from tests.table import for_each


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> dict[str, dict[str, float]]:
    """What one process measures."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.argv", ["together.py", str(tmp_path_factory.mktemp("alone") / "values")])
        return measured()


@pytest.fixture(scope="module")
def together(warm_python: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, dict[str, float]]]:
    """What each of two processes has measured."""
    folder = tmp_path_factory.mktemp("together")
    torchrun = [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    root = Path(__file__).parents[4]
    result = subprocess.run(
        [*torchrun, str(Path(__file__).with_name("together.py")), str(folder / "values")],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(root)},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads((folder / f"values.{rank}").read_text()) for rank in range(2)]


@for_each("case", CASES)
def test_two_processes_measure_what_one_does(
    alone: dict[str, dict[str, float]], together: list[dict[str, dict[str, float]]], case: str
) -> None:
    """Counts are added up, other metrics are given all batches in their order; both processes have the values.

    What would add up its state over the processes itself does not do so a second time.
    """
    assert together[0][case] == together[1][case]
    assert [*together[0][case]] == [*alone[case]]
    own, expected = dict(together[0][case]), dict(alone[case])
    assert own.pop("test_loss") == pytest.approx(expected.pop("test_loss"), rel=1e-6)
    assert own.pop("test_order") == pytest.approx(expected.pop("test_order"), rel=1e-6)
    assert own == pytest.approx(expected, rel=1e-12)
