"""Seconds and test accuracy of `lossreg run -c docs/mnist99.toml`, or another recipe, over seeds.

Each run is a process of its own; the seconds are those of the run, from the first step to the last evaluation, and in
parentheses those of the whole process, imports and reading the data included. With --one-process all seeds are runs of
one process, after a short one that is not counted: on a GPU the first run loads the kernels.

    python benchmarks/mnist99.py --root DIR [--seeds 10]
    python benchmarks/mnist99.py --root DIR --recipe docs/mnist99-gpu.toml --device cuda --one-process
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import lossreg

RECIPE = Path(__file__).parents[1] / "docs" / "mnist99.toml"
WARM_UP = 960  # samples


def run_process(recipe: Path, root: str, device: str, seed: int, out: Path) -> dict[str, Any]:
    """The result of a run in a process of its own."""
    job = ["run", "-c", str(recipe), "--data.root", root, "--device", device, "--seed", str(seed)]
    command = [sys.executable, "-m", "lossreg", *job, "--quiet", "--json", "--out", str(out)]
    result: dict[str, Any] = json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    return result


def run_here(recipe: Path, root: str, device: str, seed: int, out: Path, **settings: Any) -> dict[str, Any]:
    """The result of a run in this process."""
    chosen = {**tomllib.loads(recipe.read_text(encoding="utf-8")), **settings, "data": f"mnist(root={root!r})"}
    return lossreg.run(**chosen, device=device, seed=seed, out=out, quiet=True).to_json()


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", required=True, help="the folder of MNIST, in torchvision's layout")
    parser.add_argument("--recipe", type=Path, default=RECIPE, help="a TOML file for `lossreg run`")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--device", default="auto")
    parser.add_argument("--one-process", action="store_true", help="all seeds in one process")
    options = parser.parse_args()
    run: Callable[[Path, str, str, int, Path], dict[str, Any]] = run_here if options.one_process else run_process
    accuracies, seconds, whole = [], [], []
    with tempfile.TemporaryDirectory() as folder:
        if options.one_process:
            run_here(options.recipe, options.root, options.device, 0, Path(folder, "warm_up"), limit_train=WARM_UP)
        print(f"{'seed':>6}{'seconds':>10}{'(whole)':>11}{'test accuracy':>15}")
        for seed in range(options.seeds):
            started = time.perf_counter()
            result = run(options.recipe, options.root, options.device, seed, Path(folder, str(seed)))
            whole.append(time.perf_counter() - started)
            accuracies.append(result["final"]["test_accuracy"])
            seconds.append(result["seconds"])
            print(f"{seed:>6}{seconds[-1]:>10.2f}{f'({whole[-1]:.1f})':>11}{accuracies[-1]:>15.4f}", flush=True)
    for name, of in (("mean", statistics.mean), ("median", statistics.median)):
        print(f"{name:>6}{of(seconds):>10.2f}{f'({of(whole):.1f})':>11}{of(accuracies):>15.4f}")


if __name__ == "__main__":
    main()
