"""Microseconds of a training step on the CPU in float32 and in bfloat16, for networks of several kinds and sizes.

Batches of 64, cross-entropy, fused SGD with momentum; bfloat16 is `torch.autocast` around the model, the loss gets
float32. The two take turns; medians and their ratio are printed, with what the CPU says it has.

    python benchmarks/precision.py [--repeats 9]
"""

from __future__ import annotations

import argparse
import contextlib
import statistics
import time
from collections.abc import Callable, Mapping

import torch
from torch import nn
from torch.nn.functional import cross_entropy

import lossreg

BATCH = 64
SECONDS = 0.3  # of one measurement


def perceptron(width: int) -> nn.Module:
    """Two hidden layers of this width."""
    return lossreg.models.build("mlp", in_features=784, out_features=10, hidden=(width, width))


def vgg() -> nn.Module:
    """Four convolutions in two stages."""
    stage = [nn.Conv2d(1, 64, 3, padding=1), nn.ReLU(), nn.Conv2d(64, 64, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    more = [nn.Conv2d(64, 128, 3, padding=1), nn.ReLU(), nn.Conv2d(128, 128, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2)]
    return nn.Sequential(*stage, *more, nn.Flatten(), nn.Linear(128 * 49, 10))


MODELS: Mapping[str, Callable[[], nn.Module]] = {
    "linear 784x10": lambda: nn.Sequential(nn.Flatten(), nn.Linear(784, 10)),
    "mlp, 64 wide": lambda: perceptron(64),
    "mlp, 512 wide": lambda: perceptron(512),
    "mlp, 2048 wide": lambda: perceptron(2048),
    "mnist_cnn": lambda: lossreg.models.build("mnist_cnn"),
    "4 convolutions": vgg,
}


def stepper(model: nn.Module, dtype: torch.dtype | None) -> Callable[[], None]:
    """A function that takes a training step."""
    model = model.to(memory_format=torch.channels_last)
    inputs = torch.rand(BATCH, 1, 28, 28).contiguous(memory_format=torch.channels_last)
    targets = torch.randint(10, (BATCH,))
    optimizer = torch.optim.SGD(model.parameters(), lr=0.01, momentum=0.9, fused=True)

    def step() -> None:
        optimizer.zero_grad()
        with contextlib.nullcontext() if dtype is None else torch.autocast("cpu", dtype):
            output = model(inputs)
        cross_entropy(output.float(), targets).backward()
        optimizer.step()

    return step


def microseconds(step: Callable[[], None]) -> float:
    """The mean over steps for a while."""
    count, started = 0, time.perf_counter()
    while time.perf_counter() - started < SECONDS:
        step()
        count += 1
    return (time.perf_counter() - started) / count * 1e6


def main() -> None:
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=9)
    repeats = parser.parse_args().repeats
    has = {name: getattr(torch.cpu, f"_is_{name}_supported", bool)() for name in ("amx_tile", "avx512_bf16")}
    print(f"this CPU: {', '.join(f'{name} {there}' for name, there in has.items())}; {torch.get_num_threads()} threads")
    print(f"{'':<18}{'float32 µs':>12}{'bfloat16 µs':>13}{'float32 over bfloat16':>23}")
    for name, make in MODELS.items():
        steps = [stepper(make(), dtype) for dtype in (None, torch.bfloat16)]
        for step in steps:
            step()
        times = [[microseconds(step) for step in steps] for _ in range(repeats)]
        full, half = (statistics.median(of_one) for of_one in zip(*times, strict=True))
        print(f"{name:<18}{full:>12.0f}{half:>13.0f}{full / half:>23.2f}", flush=True)


if __name__ == "__main__":
    main()
