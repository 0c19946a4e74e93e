"""Seconds that `lossreg runs` takes for many run directories.

Each directory has a run.json as `lossreg run` writes it, with a status, a seed and metrics of its own. The last number
is what a bare interpreter takes that imports click and attrs, opens each run.json and reads it as JSON.

    python benchmarks/runs.py [--runs 10000] [--repeats 5]
"""

from __future__ import annotations

import argparse
import json
import os
import random
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lossreg.training.record.run_json import write_run_record

BARE = """
import click, attrs, gc, glob, json
gc.disable()
kept = [json.load(open(file, "rb"))["status"] for file in glob.glob("*/run.json")]
"""


def record(folder: Path) -> dict[str, object]:
    """The run.json of a short run."""
    out = folder / "first"
    command = [sys.executable, "-m", "lossreg", "run", "--loss", "dice", "--epochs", "1", "--limit-test", "64"]
    subprocess.run([*command, "--quiet", "--out", str(out)], check=True, stdout=subprocess.DEVNULL)
    content: dict[str, object] = json.loads((out / "run.json").read_text())
    return content


def fill(folder: Path, content: dict[str, object], count: int) -> None:
    """Makes the run directories."""
    numbers = random.Random(0)  # noqa: S311  # not for secrets
    spec, metrics = content["spec"], content["metrics"]
    assert isinstance(spec, dict)  # noqa: S101  # a run.json of this version has it so
    assert isinstance(metrics, dict)  # noqa: S101
    for number in range(count):
        directory = folder / f"20260101-{number:06}-mnist_cnn-dice-sgd"
        directory.mkdir()
        started = f"2026-01-{1 + number % 28:02}T{number % 24:02}:00:00+00:00"
        own = {"spec": {**spec, "seed": number}, "metrics": {**metrics, "test_accuracy": numbers.random()}}
        write_run_record(directory, {**content, **own, "started": started})


def seconds(command: list[str], folder: Path) -> tuple[float, float]:
    """Runs a command once; returns seconds by the clock, and of the processor."""
    environment = {key: value for key, value in os.environ.items() if key != "PYTHONDONTWRITEBYTECODE"}
    before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
    subprocess.run(command, cwd=folder, env=environment, check=True, stdout=subprocess.DEVNULL)
    elapsed, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
    return elapsed, after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=10_000)
    parser.add_argument("--repeats", type=int, default=5)
    options = parser.parse_args()
    lossreg = [sys.executable, "-m", "lossreg", "runs", "."]
    sides = {
        "lossreg runs": lossreg,
        "--where, --sort, --limit": [*lossreg, "--where", "loss=dice", "--sort", "-test_accuracy", "--limit", "10"],
        "--json": [*lossreg, "--json"],
        "reading the JSON alone": [sys.executable, "-c", BARE],
    }
    with tempfile.TemporaryDirectory() as scratch:
        runs = Path(scratch, "runs")
        runs.mkdir()
        fill(runs, record(Path(scratch)), options.runs)
        print(f"{options.runs} run directories made", file=sys.stderr)
        times: dict[str, list[tuple[float, float]]] = {side: [] for side in sides}
        for _ in range(options.repeats):
            for side, command in sides.items():
                times[side].append(seconds(command, runs))
    print(f"{'medians':<28}{'s':>10}{'CPU s':>10}")
    for side, measured in times.items():
        clock, processor = (statistics.median(values) for values in zip(*measured, strict=True))
        print(f"{side:<28}{clock:>10.2f}{processor:>10.2f}")


if __name__ == "__main__":
    main()
