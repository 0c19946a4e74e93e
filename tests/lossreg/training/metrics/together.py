"""Measures a table in as many processes as start this together, with metrics of all kinds, and writes the values.

torchrun --nproc-per-node 2 together.py FILE
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor, nn

import lossreg
from lossreg import Data

#: Samples of the test split and of a batch: a last round in which one process has a batch, one in which both have, and
#: a split of which one process has none.
CASES = {"partial": (70, 14), "full": (70, 20), "none": (13, 50), "one by one": (5, 1)}

METRICS = ["f1", "accuracy(average='macro')", "top_k(k=2)", "auroc"]


class Order:
    """A number that depends on each batch, and on their order."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Begins anew."""
        self.value = torch.zeros((), dtype=torch.float64)

    def update(self, output: Tensor, targets: Tensor) -> None:
        """Takes a batch."""
        self.value = self.value * 0.7 + output.double().abs().sum() * len(targets) + targets.sum()

    def compute(self) -> Tensor:
        """The number."""
        return self.value


class Syncing(Order):
    """How many are right; it exchanges what it holds itself when it is asked for it, as torchmetrics' metrics do."""

    sync_on_compute = True

    def update(self, output: Tensor, targets: Tensor) -> None:
        """Takes a batch."""
        self.value = self.value + (output.argmax(1) == targets).sum()

    def compute(self) -> Tensor:
        """How many, over all processes."""
        value = self.value.clone()
        if self.sync_on_compute and dist.is_initialized():
            dist.all_reduce(value)
        return value


def table(count: int) -> Data:
    """Numbers of three classes."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(count, 4, generator=generator), torch.randint(3, (count,), generator=generator)
    targets[::7] = -100
    return Data((inputs, targets), (inputs, targets), "classification", (4,), num_classes=3)


def measured(*further: Any) -> dict[str, dict[str, float]]:
    """The metrics of each case, and those of further objects."""
    found = {}
    for name, (count, size) in CASES.items():
        torch.manual_seed(0)
        result = lossreg.run(
            data=table(count), model=nn.Linear(4, 3), loss="cross_entropy", optimizer="sgd(lr=1e-12)", epochs=1,
            batch_size=size, metrics=[*METRICS, Order(), Syncing(), *further], precision="32", device="cpu", quiet=True,
            checkpoint_every=None, out=Path(sys.argv[1]).parent / name if len(sys.argv) > 1 else None,
        )  # fmt: skip
        found[name] = {key: value for key, value in result.final.items() if key.startswith("test_")}
    return found


def main() -> None:
    """Writes what each process has measured."""
    dist.init_process_group("gloo")  # lossreg joins the group of the program that calls it
    values = measured()
    Path(f"{sys.argv[1]}.{dist.get_rank()}").write_text(json.dumps(values))
    dist.destroy_process_group()


if __name__ == "__main__":
    main()
