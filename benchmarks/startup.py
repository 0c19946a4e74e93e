"""Seconds from the shell to the end of the first training step, against a bare script.

The bare script imports torch, builds the MNIST CNN and SGD by hand and takes one step on random images. lossreg does
the same by name: it finds the plugins, reads the digits, checks that everything fits, and claims a run directory. Both
write a line when the first step is done, and are ended then. The sides take turns; medians and their difference are
printed.

    python benchmarks/startup.py [--repeats 15]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

BARE = """
import sys, torch
from torch import nn
model = nn.Sequential(
    nn.Conv2d(1, 32, 3), nn.MaxPool2d(2), nn.Conv2d(32, 64, 3), nn.MaxPool2d(2),
    nn.Flatten(), nn.Linear(1600, 64), nn.ReLU(), nn.Linear(64, 10),
).to(memory_format=torch.channels_last)
optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)
inputs, targets = torch.rand(64, 1, 28, 28), torch.randint(10, (64,))
optimizer.zero_grad()
nn.functional.cross_entropy(model(inputs), targets).backward()
optimizer.step()
print("step 1", file=sys.stderr, flush=True)
"""
RUN = ["run", "--loss", "cross_entropy", "--opt", "sgd", "--device", "cpu", "--precision", "32", "--log-every", "1"]
SIDES = {
    "bare script": [sys.executable, "-c", BARE],
    "lossreg run": [sys.executable, "-m", "lossreg", *RUN],
}


def seconds_to_first_step(command: list[str]) -> float:
    """Runs a command until it says that its first step is done."""
    # Byte code is written by the first start, as it is for a user.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        with subprocess.Popen(
            command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None  # noqa: S101  # it is a pipe
            for line in process.stderr:
                if "step 1" in line:
                    taken = time.perf_counter() - started
                    process.kill()
                    return taken
    raise SystemExit(f"{command[:4]} ended without a step")


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=15)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for repeat in range(repeats + 1):
        for side, command in SIDES.items():
            taken = seconds_to_first_step(command)
            if repeat:  # the first fills the caches of byte code and of the file system
                times[side].append(taken)
    bare = statistics.median(times["bare script"])
    print(f"{'':<14}{'median s':>9}{'more s':>8}{'ratio':>7}")
    for side, measured in times.items():
        median = statistics.median(measured)
        print(f"{side:<14}{median:>9.2f}{median - bare:>8.2f}{median / bare:>7.2f}")


if __name__ == "__main__":
    main()
