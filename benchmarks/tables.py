"""Seconds that the data set `csv` takes for a file of numbers, beside what pyarrow and pandas alone take for it.

Ours is the whole way from the file to the tensors of both splits: reading, checks, hash, split and scaling. pyarrow's
is `pyarrow.csv.read_csv`, pandas' is `pandas.read_csv`, where it is installed. The file has 10 columns of numbers, and
is in the page cache. The sides take turns; medians of the times, and of the ratios of neighbouring times, are printed.

    python benchmarks/tables.py [--rows 1000000] [--repeats 7]
"""

from __future__ import annotations

import argparse
import importlib
import importlib.util
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pyarrow as pa
from pyarrow import csv

import lossreg

COLUMNS = 10


def write_table(path: Path, rows: int) -> None:
    """Writes columns of numbers with 6 digits, and classes."""
    generator = np.random.default_rng(0)
    columns = {f"x{index}": generator.normal(100, 20, rows).round(3) for index in range(COLUMNS - 1)}
    csv.write_csv(pa.table({**columns, "y": generator.integers(3, size=rows)}), path)


def sides(path: Path) -> dict[str, Callable[[], object]]:
    """What is measured, by its label."""
    found: dict[str, Callable[[], object]] = {
        "lossreg": lambda: lossreg.datasets.build("csv", path=str(path), target="y"),
        "pyarrow": lambda: csv.read_csv(path),
    }
    if importlib.util.find_spec("pandas") is not None:
        pandas = importlib.import_module("pandas")
        found["pandas"] = lambda: pandas.read_csv(path)
    return found


def main() -> None:
    """Measures and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--repeats", type=int, default=7)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "table.csv")
        write_table(path, arguments.rows)
        measured = sides(path)
        seconds: dict[str, list[float]] = {name: [] for name in measured}
        for repeat in range(arguments.repeats + 1):
            for name, work in measured.items():
                start = time.perf_counter()
                work()
                if repeat:  # the first round imports and warms up
                    seconds[name].append(time.perf_counter() - start)
        size = path.stat().st_size / 1e6
    print(
        f"{arguments.rows:,} rows, {COLUMNS} columns, {size:.0f} MB; pyarrow {pa.__version__}, {pa.cpu_count()} threads"
    )
    for name, times in seconds.items():
        ratios = [own / one for own, one in zip(seconds["lossreg"], times, strict=True)]
        print(
            f"{name:<10}{statistics.median(times):7.3f} s   lossreg takes {statistics.median(ratios):.2f} times as long"
        )


if __name__ == "__main__":
    main()
