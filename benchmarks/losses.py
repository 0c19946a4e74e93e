"""Milliseconds and memory of the Dice loss, forward and backward, beside MONAI's and cross-entropy.

`one-hot` is the formula written out with an int64 one-hot target, as it was in lossreg 0.1. MONAI's is
`DiceLoss(batch=True, softmax=True, to_onehot_y=True, smooth_nr=1e-5, smooth_dr=1e-5)`, which has the same value;
`cross_entropy` is torch's, on the same tensors. All are float32 on the CPU. The sides take turns; medians of the times,
and of the ratios of neighbouring times, are printed, then the peak of what torch allocates in one forward and backward
pass, the gradient included, in times of the logits' size, as torch's profiler counts it.

    python benchmarks/losses.py [--repeats 31] [--channels-last]
"""

from __future__ import annotations

import argparse
import json
import statistics
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path

import torch
from job import Times
from torch import Tensor, nn
from torch.nn import functional
from torch.profiler import ProfilerActivity, profile

import lossreg

SHAPES = [(8, 4, 256, 256), (4, 19, 256, 256), (2, 14, 64, 64, 64), (64, 10)]
SMOOTH = 1e-5
SECONDS = 0.02  # at least, of one measurement

LossFunction = Callable[[Tensor, Tensor], Tensor]


class OneHotDice(nn.Module):
    """Dice as its formula says, and as lossreg 0.1 had it."""

    def forward(self, logits: Tensor, target: Tensor) -> Tensor:
        """Computes the loss."""
        if logits.ndim < 2 or target.shape != logits.shape[:1] + logits.shape[2:]:
            raise ValueError
        exact = logits.double() if logits.dtype == torch.float64 else logits.float()
        probabilities = exact.softmax(dim=1).transpose(0, 1).flatten(1)
        there = functional.one_hot(target, logits.shape[1]).flatten(0, -2).T.to(exact.dtype)
        intersection = (probabilities * there).sum(dim=1)
        cardinality = probabilities.sum(dim=1) + there.sum(dim=1)
        return (1 - (2 * intersection + SMOOTH) / (cardinality + SMOOTH)).mean()


def sides() -> dict[str, LossFunction]:
    """The losses by their labels."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of MONAI's own dependencies
        from monai.losses.dice import DiceLoss

    monai = DiceLoss(batch=True, softmax=True, to_onehot_y=True, smooth_nr=SMOOTH, smooth_dr=SMOOTH)
    return {
        "cross_entropy": functional.cross_entropy,
        "MONAI": lambda logits, target: monai(logits, target.unsqueeze(1)),
        "one-hot": OneHotDice(),
        "lossreg": lossreg.losses.build("dice", smooth=SMOOTH),
    }


def passes(loss: LossFunction, logits: Tensor, target: Tensor) -> Callable[[], None]:
    """A function that goes forward and backward once."""

    def run() -> None:
        logits.grad = None
        loss(logits, target).backward()

    return run


def seconds(run: Callable[[], None], count: int) -> float:
    """The mean of so many calls."""
    started = time.perf_counter()
    for _ in range(count):
        run()
    return (time.perf_counter() - started) / count


def measure(runs: dict[str, Callable[[], None]], repeats: int) -> dict[str, Times]:
    """Seconds of each side, which take turns, after two calls that warm up."""
    counts = {label: max(1, round(SECONDS / min(seconds(run, 1) for _ in range(2)))) for label, run in runs.items()}
    rounds = [{label: seconds(run, counts[label]) for label, run in runs.items()} for _ in range(repeats)]
    return {label: Times([times[label] for times in rounds]) for label in runs}


def peak(run: Callable[[], None]) -> int:
    """Bytes that torch has allocated at the most during a call, above what there was before."""
    run()
    return max(_peak_once(run) for _ in range(3))  # the profiler loses an event now and then


def _peak_once(run: Callable[[], None]) -> int:
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        run()
    with tempfile.TemporaryDirectory() as folder:
        trace = Path(folder) / "trace.json"
        profiler.export_chrome_trace(str(trace))
        events = [event for event in json.loads(trace.read_text())["traceEvents"] if event.get("name") == "[memory]"]
    held = most = 0
    for event in sorted(events, key=lambda event: event["ts"]):
        held += event["args"]["Bytes"]
        most = max(most, held)
    return most


def main() -> None:
    """Prints the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--repeats", type=int, default=31)
    parser.add_argument("--channels-last", action="store_true", help="logits with the classes last in memory")
    options = parser.parse_args()
    losses = sides()
    print(f"{torch.get_num_threads()} threads")
    columns = f"{'ms':>9}{'over cross_entropy':>20}{'over MONAI':>12}{'over one-hot':>14}{'peak memory':>13}"
    print(f"{'':<35}{columns}")
    for shape in SHAPES:
        torch.manual_seed(0)
        logits, target = torch.randn(shape), torch.randint(shape[1], (shape[0], *shape[2:]))
        if options.channels_last:
            logits = logits.movedim(1, -1).contiguous().movedim(-1, 1)
        logits.requires_grad_()
        runs = {label: passes(loss, logits, target) for label, loss in losses.items()}
        times = measure(runs, options.repeats)
        for label, run in runs.items():
            ratios = [times[label].over(times[other]) for other in ("cross_entropy", "MONAI", "one-hot")]
            print(
                f"{shape!s:<20}{label:<15}{statistics.median(times[label].seconds) * 1e3:>9.3f}"
                f"{ratios[0]:>20.2f}{ratios[1]:>12.2f}{ratios[2]:>14.2f}{peak(run) / logits.nbytes:>13.2f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
