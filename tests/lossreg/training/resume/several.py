"""Runs of one and of two processes that are broken off and go on; a program that `test_several_processes.py` starts."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist

import lossreg
from lossreg import Data
from lossreg.training.resume.optimizer_state import named_state

STOPS = 6  # steps, in the middle of the second epoch


class Watch:
    """An observer that keeps the state of the optimizer."""

    def lossreg_run_finished(self, run: lossreg.Run, result: lossreg.RunResult) -> None:
        """Keeps it beside the weights."""
        state = named_state(run.optimizer, run.parts.objective.named())
        torch.save({"model": run.model.state_dict(), "optimizer": state}, result.directory / "ended.pt")


def main(folder: Path, phase: str) -> None:
    """Runs a phase: before, together or after."""
    torch.set_default_dtype(torch.float64)
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(60, 6, generator=generator), torch.randint(3, (60,), generator=generator)
    data = Data((inputs[:37], targets[:37]), (inputs[37:], targets[37:]), "classification", (6,), num_classes=3)
    usual: dict[str, Any] = {
        "data": data, "model": "mlp(hidden=[8])", "loss": "cross_entropy", "optimizer": "adam(lr=0.01)",
        "scheduler": "cosine", "epochs": 3, "batch_size": 10, "device": "cpu", "precision": "32", "log_every": 1,
    }  # fmt: skip
    shared: dict[str, Any] = {"quiet": True, "observers": [Watch()]}
    if phase == "before":
        lossreg.run(out=folder / "whole1", **usual, **shared)
        lossreg.run(out=folder / "from1", max_steps=STOPS, **usual, **shared)
    elif phase == "together":
        lossreg.run(out=folder / "whole2", **usual, **shared)
        for name in ("from2to2", "from2to1"):
            lossreg.run(out=folder / name, max_steps=STOPS, **usual, **shared)
        for name in ("from2to2", "from1"):
            lossreg.run(resume=folder / name, max_steps=None, data=data, **shared)
    else:
        lossreg.run(resume=folder / "from2to1", max_steps=None, data=data, **shared)
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main(Path(sys.argv[1]), sys.argv[2])
