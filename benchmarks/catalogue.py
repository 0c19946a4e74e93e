"""What the catalogue costs with the bridges that are installed: names, and seconds of `lossreg list` and its siblings.

The other side is a bare interpreter that imports click, pluggy and attrs and asks importlib.metadata for the entry
points of the group `lossreg`. The sides take turns; medians and their ratio are printed. `lossreg list` must take at
most twice as long as the bare imports, and import no torch.

    python benchmarks/catalogue.py [--repeats 20]
"""

from __future__ import annotations

import argparse
import collections
import json
import statistics
import subprocess
import sys

from cli_startup import BARE, seconds

LOSSREG = [sys.executable, "-m", "lossreg"]
SIDES = {
    "bare imports": [sys.executable, "-c", BARE],
    "lossreg list": [*LOSSREG, "list"],
    "lossreg list --all": [*LOSSREG, "list", "--all"],
    'lossreg list "*focal*"': [*LOSSREG, "list", "*focal*"],
    "lossreg list --search focal": [*LOSSREG, "list", "--search", "focal"],
    "lossreg list --json": [*LOSSREG, "list", "--json"],
    "lossreg schema": [*LOSSREG, "schema"],
    "lossreg plugins": [*LOSSREG, "plugins"],
}
HEAVY = ("torch", "timm", "monai", "transformers", "torchmetrics", "kornia", "pytorch_optimizer", "numpy")
IMPORTED = """
import sys
from lossreg.cli.main import main
try:
    main({arguments!r})
except SystemExit:
    pass
sys.stderr.write(" ".join(name for name in {heavy!r} if name in sys.modules) or "none")
"""


def names() -> collections.Counter[str]:
    """Plugin -> how many names it has."""
    listed = subprocess.run([*LOSSREG, "list", "--json"], check=True, capture_output=True, text=True).stdout
    return collections.Counter(row["plugin"] for row in json.loads(listed))


def imported(*arguments: str) -> str:
    """The heavy packages that a command imports."""
    code = IMPORTED.format(arguments=list(arguments), heavy=HEAVY)
    result = subprocess.run([sys.executable, "-c", code], check=False, capture_output=True, text=True)
    return result.stderr.splitlines()[-1]


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=20)
    repeats = parser.parse_args().repeats
    counted = names()
    print(f"{counted.total():,} names: {', '.join(f'{plugin} {count:,}' for plugin, count in counted.items())}")
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    for repeat in range(repeats + 1):
        for side, command in SIDES.items():
            taken = seconds(command)
            if repeat:  # the first fills the caches of byte code and of the file system
                times[side].append(taken)
    bare = statistics.median(times["bare imports"])
    print(f"{'':<28}{'median ms':>10}{'ratio':>8}")
    for side, measured in times.items():
        median = statistics.median(measured)
        print(f"{side:<28}{median * 1e3:>10.1f}{median / bare:>8.2f}")
    print(f"lossreg list imports of {', '.join(HEAVY)}: {imported('list')}")
    if "timm" in counted:
        print(f"lossreg show optimizer timm.lion: {imported('show', 'optimizer', 'timm.lion')}")


if __name__ == "__main__":
    main()
