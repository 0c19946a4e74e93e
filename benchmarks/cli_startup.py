"""Seconds that `lossreg list`, `lossreg --help` and `lossreg plugins` take, against importing what they must import.

The other side is a bare interpreter that imports click, pluggy and attrs and asks importlib.metadata for the entry
points of the group `lossreg`. The sides take turns; medians and their ratio are printed.

    python benchmarks/cli_startup.py [--repeats 30]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

BARE = "import click, pluggy, attrs, importlib.metadata as m; list(m.entry_points(group='lossreg'))"
SIDES = {
    "bare imports": [sys.executable, "-c", BARE],
    "lossreg list": [sys.executable, "-m", "lossreg", "list"],
    "lossreg --help": [sys.executable, "-m", "lossreg", "--help"],
    "lossreg plugins": [sys.executable, "-m", "lossreg", "plugins"],
}


def seconds(command: list[str]) -> float:
    """Runs a command once."""
    # Byte code is written by the first start, as it is for a user.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    return time.perf_counter() - started


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    repeats = parser.parse_args().repeats
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for side, command in SIDES.items():
        seconds(command)  # fills the caches of byte code and of the file system
        print(f"warmed up: {side}", file=sys.stderr)
    for _ in range(repeats):
        for side, command in SIDES.items():
            times[side].append(seconds(command))
    bare = statistics.median(times["bare imports"])
    print(f"{'':<18}{'median ms':>10}{'ratio':>8}")
    for side, measured in times.items():
        median = statistics.median(measured)
        print(f"{side:<18}{median * 1e3:>10.1f}{median / bare:>8.2f}")


if __name__ == "__main__":
    main()
