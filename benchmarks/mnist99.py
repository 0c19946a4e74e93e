"""Seconds and test accuracy of `lossreg run -c docs/mnist99.toml` over seeds.

Each run is a process of its own; the seconds are those of the run, from the first step to the last evaluation, and in
parentheses those of the whole process, imports and reading the data included.

    python benchmarks/mnist99.py --root DIR [--seeds 10]
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

RECIPE = Path(__file__).parents[1] / "docs" / "mnist99.toml"


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the folder of MNIST, in torchvision's layout")
    parser.add_argument("--seeds", type=int, default=10)
    options = parser.parse_args()
    accuracies, seconds, whole = [], [], []
    print(f"{'seed':>4}{'seconds':>10}{'(process)':>11}{'test accuracy':>15}")
    for seed in range(options.seeds):
        with tempfile.TemporaryDirectory() as folder:
            job = ["run", "-c", str(RECIPE), "--data.root", options.root, "--seed", str(seed), "--quiet", "--json"]
            command = [sys.executable, "-m", "lossreg", *job, "--out", str(Path(folder, "run"))]
            started = time.perf_counter()
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            whole.append(time.perf_counter() - started)
        result = json.loads(output)
        accuracies.append(result["final"]["test_accuracy"])
        seconds.append(result["seconds"])
        print(f"{seed:>4}{seconds[-1]:>10.1f}{f'({whole[-1]:.1f})':>11}{accuracies[-1]:>15.4f}", flush=True)
    mean = f"({statistics.mean(whole):.1f})"
    print(f"mean{statistics.mean(seconds):>10.1f}{mean:>11}{statistics.mean(accuracies):>15.4f}")


if __name__ == "__main__":
    main()
