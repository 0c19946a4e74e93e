"""Seconds that `lossreg list` takes with many plugin distributions installed.

The other side is a bare interpreter that asks `importlib.metadata.entry_points(group="lossreg")` and imports the module
of each. The sides take turns in processes of their own; medians and their ratio are printed for each count.

    python benchmarks/plugins_at_scale.py [--counts 10 100 1000] [--repeats 7]
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

BARE = """
import importlib, importlib.metadata as m
for point in m.entry_points(group="lossreg"):
    importlib.import_module(point.module)
"""

PLUGIN = '''"""Offers a loss."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [
        lr.Loss(
            "loss_{number}",
            "plugin_{number}.loss:Loss",
            "Loss number {number}",
            defaults={{"gamma": 2.0}},
            input="logits",
            target="index",
        )
    ]
'''

METADATA = """Metadata-Version: 2.4
Name: lossreg-plugin-{number}
Version: 1.{number}
Summary: Loss number {number}
Requires-Python: >=3.11
Requires-Dist: lossreg>=0.1
Requires-Dist: torch
Description-Content-Type: text/markdown

# Loss number {number}
"""


def write_plugins(folder: Path, count: int) -> None:
    """Writes N installed distributions, as pip leaves them: a package and its metadata each."""
    for number in range(count):
        package = folder / f"plugin_{number}"
        package.mkdir()
        (package / "__init__.py").write_text("")
        (package / "plugin.py").write_text(PLUGIN.format(number=number))
        (package / "loss.py").write_text("class Loss: ...\n")
        info = folder / f"lossreg_plugin_{number}-1.{number}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(METADATA.format(number=number))
        (info / "entry_points.txt").write_text(f"[lossreg]\np{number} = plugin_{number}.plugin\n")


def seconds(command: list[str], folder: Path) -> tuple[float, str]:
    """Runs a command with the folder on its sys.path; returns its time and what it printed."""
    # Byte code is written by the first start, as it is for a user.
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    started = time.perf_counter()
    result = subprocess.run(
        command, env={**environment, "PYTHONPATH": str(folder)}, check=True, capture_output=True, text=True
    )
    return time.perf_counter() - started, result.stdout


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--counts", type=int, nargs="+", default=[10, 100, 1000])
    parser.add_argument("--repeats", type=int, default=7)
    options = parser.parse_args()
    sides = {
        "bare": [sys.executable, "-c", BARE],
        "list": [sys.executable, "-m", "lossreg", "list", "loss", "--json"],
    }
    print(f"{'plugins':>7}{'bare ms':>10}{'lossreg list ms':>17}{'ratio':>7}")
    for count in options.counts:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            write_plugins(folder, count)
            times: dict[str, list[float]] = {side: [] for side in sides}
            for repeat in range(options.repeats + 1):
                for side, command in sides.items():
                    taken, output = seconds(command, folder)
                    if repeat:  # the first fills the caches
                        times[side].append(taken)
                    if side == "list":
                        names = {row["name"] for row in json.loads(output)}
                        if not {f"loss_{number}" for number in range(count)} <= names:
                            raise SystemExit("lossreg list does not list every plugin's loss")
            bare, ours = (statistics.median(times[side]) * 1e3 for side in ("bare", "list"))
            print(f"{count:>7}{bare:>10.0f}{ours:>17.0f}{ours / bare:>7.2f}", flush=True)


if __name__ == "__main__":
    main()
