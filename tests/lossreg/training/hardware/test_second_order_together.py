"""An optimizer that differentiates gradients, in several processes: refused before the run, once."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

SMALL = ("--model", "mlp", "--limit-train", "64", "--limit-test", "8", "--epochs", "1", "--precision", "32", "--quiet")
OPTIMIZER = """\
import torch

import lossreg


@lossreg.optimizers.register("second_order", create_graph=True, closure=False, modes=False, needs=())
class SecondOrder(torch.optim.SGD):
    def __init__(self, params):
        super().__init__(params, lr=0.1)
"""


def test_gradients_of_gradients_are_not_exchanged(warm_python: str, tmp_path: Path) -> None:
    """Two processes end with exit code 2 and one message that says what to do, and leave no directory."""
    (tmp_path / "second_order.py").write_text(OPTIMIZER)
    launch = [warm_python, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2"]
    words = ["-m", "lossreg", "run", "-p", "./second_order.py", "--opt", "second_order", *SMALL, "--out", "out"]
    done = subprocess.run(
        [*launch, *words], cwd=tmp_path, env={**os.environ, "OMP_NUM_THREADS": "1"}, capture_output=True, text=True,
        check=False, timeout=240,
    )  # fmt: skip
    said = "optimizer second_order differentiates gradients, which several processes cannot exchange; use one process"
    assert done.returncode != 0
    assert done.stderr.count(said) == 1
    assert "exitcode  : 2" in done.stderr
    assert "Traceback (most recent call last)" not in done.stderr.partition(said)[0]
    assert not (tmp_path / "out").exists()
