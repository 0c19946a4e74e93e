"""Microseconds that a lookup by name and a build add to calling the class.

The other sides are the registry of mmengine and hydra's instantiate, where they are installed (`pip install mmengine
hydra-core`). All sides build the same class with the same argument in one process, in turn; medians are printed.

    python benchmarks/build_overhead.py [--repeats 30] [--calls 2000]
"""

from __future__ import annotations

import argparse
import importlib.util
import statistics
import time
from collections.abc import Callable
from typing import Any

import lossreg
from lossreg_builtin.dice import DiceLoss


def sides() -> dict[str, Callable[[], Any]]:
    """Name -> a function that builds once."""
    build = lossreg.losses.build
    found: dict[str, Callable[[], Any]] = {
        "the class itself": lambda: DiceLoss(smooth=1.0, reduction="mean"),
        "lossreg, by name": lambda: build("dice", smooth=1.0),
        "lossreg, spec text": lambda: build("dice(smooth=1.0)"),
    }
    if importlib.util.find_spec("mmengine"):
        from mmengine.registry import Registry

        registry = Registry("losses")
        registry.register_module(name="dice", module=DiceLoss)
        found["mmengine Registry"] = lambda: registry.build({"type": "dice", "smooth": 1.0})
    if importlib.util.find_spec("hydra"):
        from hydra.utils import instantiate

        found["hydra instantiate"] = lambda: instantiate({"_target_": "lossreg_builtin.dice.DiceLoss", "smooth": 1.0})
    return found


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--calls", type=int, default=2000)
    options = parser.parse_args()
    functions = sides()
    times: dict[str, list[float]] = {name: [] for name in functions}
    for function in functions.values():
        function()
    for _ in range(options.repeats):
        for name, function in functions.items():
            calls = options.calls if "hydra" not in name else max(options.calls // 20, 1)
            started = time.perf_counter()
            for _ in range(calls):
                function()
            times[name].append((time.perf_counter() - started) / calls * 1e6)
    bare = statistics.median(times["the class itself"])
    print(f"{'':<20}{'µs':>9}{'added µs':>10}{'ratio':>8}")
    for name, measured in times.items():
        median = statistics.median(measured)
        print(f"{name:<20}{median:>9.2f}{median - bare:>10.2f}{median / bare:>8.2f}")


if __name__ == "__main__":
    main()
