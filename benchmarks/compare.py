"""Eight seeds as one comparison, against eight commands one after the other.

`lossreg run --loss dice --opt sgd` with the seeds 0 to 7, as eight commands in turn and as one `lossreg compare` with
the default number of jobs. The two sides take turns; the ratio of their wall times is printed, for each turn and as a
median.

    python benchmarks/compare.py [--repeats 3] [--epochs 20]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time

LOSSREG = [sys.executable, "-m", "lossreg"]
JOB = ["--loss", "dice", "--opt", "sgd", "--quiet"]
SEEDS = 8


def seconds_of(commands: list[list[str]]) -> float:
    """Runs commands one after the other in an empty folder."""
    # Byte code is written by the first start, as it is for a user.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    with tempfile.TemporaryDirectory() as folder:
        started = time.perf_counter()
        for command in commands:
            subprocess.run(command, cwd=folder, env=environment, stdout=subprocess.DEVNULL, check=True)
        return time.perf_counter() - started


def main() -> None:
    """Runs both sides in turn and prints their ratio."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--epochs", type=int, default=20)
    arguments = parser.parse_args()
    job = [*JOB, "--epochs", str(arguments.epochs)]
    single = [[*LOSSREG, "run", *job, "--seed", str(seed)] for seed in range(SEEDS)]
    together = [[*LOSSREG, "compare", *job, "--seeds", str(SEEDS)]]
    ratios = []
    for repeat in range(arguments.repeats):
        apart, side_by_side = seconds_of(single), seconds_of(together)
        ratios.append(side_by_side / apart)
        print(
            f"turn {repeat + 1}: {SEEDS} commands {apart:.1f} s, compare {side_by_side:.1f} s, ratio {ratios[-1]:.2f}",
            flush=True,
        )
    print(f"median ratio {statistics.median(ratios):.2f}")


if __name__ == "__main__":
    main()
