"""Wall-clock seconds and test accuracy of the main job, `lossreg run --loss dice --opt sgd`, over seeds.

Each run is a process of its own, imports included.

    python benchmarks/main_job.py [--seeds 5]
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


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=5)
    accuracies, times = [], []
    print(f"{'seed':>4}{'seconds':>10}{'test accuracy':>15}")
    for seed in range(parser.parse_args().seeds):
        with tempfile.TemporaryDirectory() as folder:
            job = ["run", "--loss", "dice", "--opt", "sgd", "--seed", str(seed), "--quiet", "--json"]
            command = [sys.executable, "-m", "lossreg", *job, "--out", str(Path(folder, "run"))]
            started = time.perf_counter()
            output = subprocess.run(command, check=True, capture_output=True, text=True).stdout
            times.append(time.perf_counter() - started)
        accuracies.append(json.loads(output)["final"]["test_accuracy"])
        print(f"{seed:>4}{times[-1]:>10.1f}{accuracies[-1]:>15.4f}", flush=True)
    print(f"mean{statistics.mean(times):>10.1f}{statistics.mean(accuracies):>15.4f}")


if __name__ == "__main__":
    main()
