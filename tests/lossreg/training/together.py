"""Runs every case of CASES into folders below the one that is named, in as many processes as start this together.

torchrun --nproc-per-node 2 together.py DIR trains with two, python together.py DIR alone.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import nn

import lossreg
from lossreg import Data

#: Name -> arguments of `lossreg.run`; 129 samples leave one for the last batch, and one process without any.
CASES: dict[str, dict[str, Any]] = {
    "plain": {"loss": "cross_entropy"},
    "mse": {"loss": "mse", "batch_size": 63},
    "weights": {"loss": "cross_entropy(weight=[1, 2, 3, 4, 5, 6, 7, 8, 9, 0], label_smoothing=0.1)"},
    "ignored": {"loss": "cross_entropy(ignore_index=3)", "batch_size": 4},
    "sum": {"loss": "cross_entropy(reduction='sum')", "optimizer": "sgd(lr=1e-4)"},
    "accumulated": {"loss": "cross_entropy(ignore_index=3)", "batch_size": 10, "accumulate": 3, "clip_grad_norm": 0.5},
    "loader": {"loss": "cross_entropy", "loader": "dataloader", "workers": 1},
    "schedule": {
        "loss": "l1", "optimizer": "adam", "scheduler": "lambda_lr(lr_lambda='1 / (1 + step)')",
        "scheduler_interval": "step",
    },
    "closure": {"data": "diabetes", "loss": "mse", "optimizer": "lbfgs", "batch_size": 100, "limit_train": None},
    "learned": {"loss": "tempered"},
}  # fmt: skip


class Tempered(nn.Module):
    """Cross-entropy at a temperature that is learned."""

    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The loss."""
        return nn.functional.cross_entropy(output / self.temperature, target)


class Unused(nn.Module):
    """A model with a layer that the output does not depend on."""

    def __init__(self) -> None:
        super().__init__()
        self.used, self.unused = nn.Linear(784, 10), nn.Linear(784, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        """Logits."""
        return self.used(images.flatten(1))  # type: ignore[no-any-return]  # nn.Module's call is not annotated


class Stopper:
    """Asks for the end of a run; hooks are called in one process, and all have to end."""

    def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Asks for it."""
        run.request_stop("enough")


def main() -> None:
    """Runs the cases."""
    folder = Path(sys.argv[1])
    if dist.is_torchelastic_launched():
        dist.init_process_group("gloo")  # lossreg joins the group of the program that calls it
    lossreg.optimizers.register("lbfgs", "torch.optim:LBFGS", closure=True, defaults={"max_iter": 3})
    lossreg.losses.register("tempered", target="index", averages="sample")(Tempered)
    usual: dict[str, Any] = {
        "epochs": 2, "limit_train": 129, "limit_test": 70, "precision": "32", "device": "cpu", "quiet": True,
        "log_every": 2,
    }  # fmt: skip
    for name, arguments in CASES.items():
        lossreg.run(**{**usual, **arguments, "out": folder / name})
    lossreg.run(**{**usual, "model": Unused(), "out": folder / "unused"})
    stopped = lossreg.run(**{**usual, "batch_size": 16, "observers": [Stopper()], "out": folder / "stopped"})
    assert stopped.reason == "enough"  # in each process
    assert stopped.directory == folder / "stopped"
    logging.basicConfig(filename=folder / "warnings.txt" if not dist.is_initialized() or not dist.get_rank() else None)
    normed = nn.Sequential(nn.Flatten(), nn.BatchNorm1d(784), nn.Linear(784, 10))
    warned = lossreg.run(**{**usual, "model": normed, "loss": "dice", "batch_size": 43, "out": folder / "warned"})
    kept = torch.load(folder / "warned" / "model.pt", weights_only=True)
    assert all(value.equal(kept[name]) for name, value in warned.model.state_dict().items())  # in each
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.rand(3, 4, generator=generator), torch.randint(2, (3,), generator=generator)
    few = Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=2)
    torch.manual_seed(0)
    lossreg.run(**{**usual, "data": few, "model": nn.Linear(4, 2), "batch_size": 1, "out": folder / "single"})
    if dist.is_initialized():
        dist.destroy_process_group()


if __name__ == "__main__":
    main()
