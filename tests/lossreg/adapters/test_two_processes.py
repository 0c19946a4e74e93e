"""Lightning and the Trainer of Hugging Face in two processes: the weights and the rates of a run in two processes."""

from __future__ import annotations

import importlib.util
import json
import math
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[3]
HOSTS = [name for name in ("lightning", "transformers") if importlib.util.find_spec(name) is not None]

pytestmark = pytest.mark.skipif(
    not HOSTS, reason="neither lightning nor transformers is installed (pip install 'lossreg[hosts]')"
)

STEPS_PER_EPOCH, EPOCHS = 4, 2


@pytest.fixture(scope="module")
def both(warm_python: str, tmp_path_factory: pytest.TempPathFactory) -> list[dict[str, Any]]:
    """What each of the two processes has found."""
    folder = tmp_path_factory.mktemp("together")
    result = subprocess.run(
        [warm_python, str(Path(__file__).with_name("together.py")), str(folder)],
        cwd=folder,
        env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "plugins")])},
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert result.returncode == 0, result.stderr
    return [json.loads((folder / f"{rank}.json").read_text(encoding="utf-8")) for rank in range(2)]


def rates(loss: str) -> list[float]:
    """The rate of each step: half a cosine behind a warm-up over steps, or half a cosine over epochs."""
    steps = STEPS_PER_EPOCH * EPOCHS
    if loss != "cross_entropy":
        first = 0.001 if loss == "summed" else 0.1
        return [first / 2 * (1 + math.cos(math.pi * (step // STEPS_PER_EPOCH) / EPOCHS)) for step in range(steps)]
    warm = [0.01 * (1 / 3 + 2 / 3 * step / 3) for step in range(3)]  # LinearLR begins at a third
    return warm + [0.005 * (1 + math.cos(math.pi * step / (steps - 3))) for step in range(steps - 3)]


@pytest.mark.parametrize(
    ("host", "loss"),
    [
        ("lightning", "cross_entropy"),
        ("lightning", "dice"),
        ("lightning", "sharded"),
        ("transformers", "cross_entropy"),
        ("transformers", "dice"),
        ("transformers", "ignored"),
        ("transformers", "summed"),
    ],
)
def test_two_processes_of_a_host_train_as_those_of_a_run(both: list[dict[str, Any]], host: str, loss: str) -> None:
    """Weights agree within 1e-6, the rate of each step is the schedule's, and both processes have the same bits.

    The Trainer counts the labels of both, where those of one are ignored (-100), and adds up a sum over both.
    """
    if host not in HOSTS:
        pytest.skip(f"{host} is not installed (pip install 'lossreg[hosts]')")
    first, second = (one[f"{host} {loss}"] for one in both)
    assert first["difference"] <= 1e-6
    assert first["digest"] == second["digest"]
    assert first["rates"] == second["rates"]
    assert first["rates"] == pytest.approx(rates(loss))
