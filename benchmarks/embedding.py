"""What `lossreg.parts` adds to a loop: microseconds for each object that is built, and the ratio of a step.

The other side is the same loop with hand-made objects. The sides take turns in one process. Of building, medians are
printed; of steps, the ratio of the fastest turns, which other work on the machine does not change.

    python benchmarks/embedding.py [--repeats 30] [--calls 300] [--steps 20] [--turns 200]
"""

from __future__ import annotations

import argparse
import statistics
import time
from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.optim.lr_scheduler import CosineAnnealingLR

import lossreg

BATCH = torch.randn(256, 64), torch.randint(10, (256,))


def model() -> nn.Sequential:
    """Two layers."""
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(64, 128), nn.ReLU(), nn.Linear(128, 10))


def objects() -> dict[str, tuple[Callable[[], Any], Callable[[], Any]]]:
    """Object -> building it by hand, and by name with specs that are resolved."""
    parts = lossreg.parts(loss="cross_entropy", optimizer="sgd(lr=0.1)", scheduler="cosine", epochs=10)
    trained = model()
    by_hand, by_name = torch.optim.SGD(trained.parameters(), lr=0.1), parts.optimizer(trained)
    return {
        "optimizer": (lambda: torch.optim.SGD(trained.parameters(), lr=0.1), lambda: parts.optimizer(trained)),
        "scheduler": (lambda: CosineAnnealingLR(by_hand, 10), lambda: parts.scheduler(by_name)),
    }


def loops() -> tuple[Callable[[int], None], Callable[[int], None]]:
    """A loop of so many steps with hand-made objects, and one with parts by name."""

    def loop(trained: nn.Module, loss: Any, optimizer: Any, scheduler: Any) -> Callable[[int], None]:
        def run(steps: int) -> None:
            for _ in range(steps):
                optimizer.zero_grad()
                loss(trained(BATCH[0]), BATCH[1]).backward()
                optimizer.step()
                scheduler.step()

        return run

    first, second = model(), model()
    optimizer = torch.optim.SGD(first.parameters(), lr=0.1)
    by_hand = loop(first, nn.CrossEntropyLoss(), optimizer, CosineAnnealingLR(optimizer, 1_000_000))
    parts = lossreg.parts(
        loss="cross_entropy",
        optimizer="sgd(lr=0.1, momentum=0)",
        scheduler="cosine",
        scheduler_interval="step",
        total_steps=1_000_000,
    )
    named = parts.optimizer(second)
    return by_hand, loop(second, parts.loss, named, parts.scheduler(named))


def microseconds(function: Callable[[], Any], calls: int) -> float:
    """Of one call."""
    started = time.perf_counter()
    for _ in range(calls):
        function()
    return (time.perf_counter() - started) / calls * 1e6


def main() -> None:
    """Prints both tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=30)
    parser.add_argument("--calls", type=int, default=300)
    parser.add_argument("--steps", type=int, default=20)
    parser.add_argument("--turns", type=int, default=200)
    options = parser.parse_args()
    torch.set_num_threads(1)
    print(f"{'':<12}{'by hand, µs':>14}{'by name, µs':>14}{'added, µs':>12}")
    for name, builds in objects().items():
        times = [[microseconds(build, options.calls) for build in builds] for _ in range(options.repeats)]
        hand, named = (statistics.median(side) for side in zip(*times, strict=True))
        print(f"{name:<12}{hand:>14.1f}{named:>14.1f}{named - hand:>12.1f}")
    sides = loops()
    best = [float("inf")] * 2
    for turn in range(options.turns):
        for side in (0, 1) if turn % 2 else (1, 0):
            best[side] = min(best[side], microseconds(lambda run=sides[side]: run(options.steps), 1))  # type: ignore[misc]  # mypy sees no type in a default
    print(f"a step with parts by name: {best[1] / best[0]:.3f} times one with hand-made objects")


if __name__ == "__main__":
    main()
