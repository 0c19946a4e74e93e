"""Microseconds that trainers add to each training step of a raw loop.

The step is small, so that what is added shows: nn.Linear(784, 10) on the CPU, batches of 64 random rows, cross-entropy,
fused SGD at 0.01 with momentum 0.9, float32. `raw loop` gathers its batches by index_select and sums the loss on the
device. `lossreg, shown` also writes its lines, to /dev/null; `lossreg, on a terminal` shows its display, to a terminal
that another process reads. The others are set up as a careful user would (peers.py);
those that are not installed are left out (`pip install lightning pytorch-ignite skorch accelerate transformers`). What
they add is in good part their DataLoader, which takes its samples one by one; with --bulk it indexes a whole batch.

Timed is an epoch as in train.py; for lossreg it is the mean of the second and the third of a run. The sides take turns;
medians of the times, and of the differences and ratios of neighbouring times, are printed.

    python benchmarks/overhead.py [--steps 2000] [--repeats 7] [--threads N] [--bulk]
"""

from __future__ import annotations

import argparse
import contextlib
import os
import pty
import statistics
import subprocess
from collections.abc import Mapping
from pathlib import Path

import torch
from job import BATCH, Job, Side, hand_epoch, lossreg_epochs, measure
from peers import PEERS, installed
from torch import nn


def linear() -> nn.Module:
    """The model."""
    return nn.Linear(784, 10)


def lossreg_epoch(job: Job) -> float:
    """An epoch with lossreg, the first left out."""
    return statistics.mean(lossreg_epochs(job, 3)[1:])


def lossreg_shown(job: Job) -> float:
    """The same with a line for each step that is logged."""
    with Path(os.devnull).open("w") as nowhere, contextlib.redirect_stderr(nowhere):
        return statistics.mean(lossreg_epochs(job, 3, quiet=False)[1:])


def lossreg_on_terminal(job: Job) -> float:
    """The same with the live display of a terminal."""
    os.environ["TERM"] = "xterm-256color"
    leader, follower = pty.openpty()
    with (
        subprocess.Popen(["cat"], stdin=leader, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as reader,
        os.fdopen(follower, "w") as terminal,
        contextlib.redirect_stderr(terminal),
    ):
        os.close(leader)
        seconds = statistics.mean(lossreg_epochs(job, 3, quiet=False)[1:])
        reader.terminate()
    return seconds


OWN: Mapping[str, tuple[str, Side]] = {
    "raw": ("raw loop", hand_epoch),
    "lossreg": ("lossreg", lossreg_epoch),
    "shown": ("lossreg, shown", lossreg_shown),
    "terminal": ("lossreg, on a terminal", lossreg_on_terminal),
}
NAMES = [*OWN, *PEERS]


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--steps", type=int, default=2000, help="steps of an epoch")
    parser.add_argument("--repeats", type=int, default=7)
    parser.add_argument("--sides", nargs="+", choices=NAMES, default=NAMES, metavar="SIDE", help=", ".join(NAMES))
    parser.add_argument("--threads", type=int, help="threads of torch; else its own choice")
    parser.add_argument("--bulk", action="store_true", help="the peers' DataLoaders index a whole batch at once")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    torch.manual_seed(0)
    count = options.steps * BATCH
    job = Job(torch.rand(count, 784), torch.randint(10, (count,)), linear, momentum=0.9, bulk=options.bulk)
    sides = dict(label_and_side for name, label_and_side in OWN.items() if name in options.sides)
    sides |= installed([name for name in options.sides if name in PEERS])
    times = measure(sides, job, options.repeats)
    raw = times.get("raw loop")
    print(f"{'':<30}{'µs / step':>10}{'added µs':>10}{'ratio':>8}")
    for label, side in times.items():
        added, ratio = (
            (f"{side.more_than(raw) / options.steps * 1e6:.1f}", f"{side.over(raw):.2f}") if raw else ("", "")
        )
        print(f"{label:<30}{side.median / options.steps * 1e6:>10.1f}{added:>10}{ratio:>8}")


if __name__ == "__main__":
    main()
