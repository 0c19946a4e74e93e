"""Seconds that `lossreg list`, `--help`, `plugins` and `import lossreg` take, against importing what they must import.

The other side is a bare interpreter that imports what lossreg imports of others: for the commands click, pluggy, attrs
and importlib.metadata, which it asks for the entry points of the group `lossreg`; for `import lossreg` alone what that
imports of the standard library. The sides take turns; medians, their differences and ratios are printed.

    python benchmarks/cli_startup.py [--repeats 30]
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import time

ENTRY_POINTS = "import importlib.metadata as m; list(m.entry_points(group='lossreg'))"
BARE = f"import click, pluggy, attrs; {ENTRY_POINTS}"
WITHOUT_TORCH = "import sys; assert 'torch' not in sys.modules"


def python(code: str) -> list[str]:
    """A command that runs some code."""
    return [sys.executable, "-c", code]


def lossreg(*words: str) -> list[str]:
    """A command line of lossreg."""
    return [sys.executable, "-m", "lossreg", *words]


#: Tables; the first side of each is what the others are compared with.
TABLES = [
    {
        "bare imports": python(BARE),
        "lossreg list": lossreg("list"),
        "lossreg --help": lossreg("--help"),
        "lossreg plugins": lossreg("plugins"),
    },
    {
        "importlib, typing": python("import importlib, typing"),
        "import lossreg": python(f"import lossreg; {WITHOUT_TORCH}"),
    },
    {
        "pluggy, attrs": python(f"import pluggy, attrs; {ENTRY_POINTS}"),
        "lossreg.losses": python(f"import lossreg; lossreg.losses.names(); {WITHOUT_TORCH}"),
    },
]


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
    print(f"{'':<18}{'median ms':>10}{'more ms':>9}{'ratio':>8}")
    for sides in TABLES:
        times: dict[str, list[float]] = {name: [] for name in sides}
        for repeat in range(repeats + 1):
            for name, command in sides.items():
                taken = seconds(command)
                if repeat:  # the first fills the caches of byte code and of the file system
                    times[name].append(taken)
        medians = {name: statistics.median(measured) * 1e3 for name, measured in times.items()}
        bare = next(iter(medians.values()))
        for name, median in medians.items():
            print(f"{name:<18}{median:>10.1f}{median - bare:>9.1f}{median / bare:>8.2f}")


if __name__ == "__main__":
    main()
