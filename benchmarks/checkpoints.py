"""What writing a checkpoint after every epoch adds to a run.

The run is MNIST's (60,000 training images, mnist_cnn, cross-entropy, SGD at 0.01 with momentum 0.9, batches of 64) with
the files of `--root`; without them 60,000 random images of the same shape. Two sides take turns in one process, each a
run of `--epochs` epochs: one writes a checkpoint after each (`checkpoint_every="1"`, the default), the other none.
Timed is what a run takes from the end of its first epoch to its end, by the clock, evaluation included. Printed are the
medians for one epoch, the median of the ratios of neighbouring times, and how large a checkpoint is.

    python benchmarks/checkpoints.py [--root DIR] [--epochs 3] [--repeats 5] [--threads N] [--device cpu]
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from pathlib import Path
from typing import Any

import torch

import lossreg

SIDES = {"no checkpoints": None, "a checkpoint after every epoch": "1"}


class Clock:
    """Notes when the first epoch is over."""

    def __init__(self) -> None:
        self.first = 0.0

    def lossreg_epoch_finished(self, **_: Any) -> None:
        """Notes the time of the first call."""
        self.first = self.first or time.perf_counter()


def random_images() -> lossreg.Data:
    """Numbers of MNIST's shapes."""
    generator = torch.Generator().manual_seed(0)
    images = torch.rand(70_000, 1, 28, 28, generator=generator)
    labels = torch.randint(10, (70_000,), generator=generator)
    train, test = (images[:60_000], labels[:60_000]), (images[60_000:], labels[60_000:])
    return lossreg.Data(train, test, task="classification", in_shape=(1, 28, 28), num_classes=10)


def seconds_of_epoch(data: Any, every: str | None, epochs: int, device: str, folder: Path) -> float:
    """What an epoch takes, the first left out."""
    clock = Clock()
    lossreg.run(
        data=data, model="mnist_cnn", loss="cross_entropy", optimizer="sgd(lr=0.01, momentum=0.9)", device=device,
        epochs=epochs, checkpoint_every=every, quiet=True, observers=[clock], out=folder,
    )  # fmt: skip
    return (time.perf_counter() - clock.first) / (epochs - 1)


def main() -> None:
    """Runs both sides in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", help="the folder of MNIST's files")
    parser.add_argument("--epochs", type=int, default=3)
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--threads", type=int)
    parser.add_argument("--device", default="cpu")
    options = parser.parse_args()
    if options.threads:
        torch.set_num_threads(options.threads)
    data = random_images() if options.root is None else f"mnist(root={options.root!r})"
    times: dict[str, list[float]] = {side: [] for side in SIDES}
    size = 0
    with tempfile.TemporaryDirectory() as scratch:
        for repeat in range(options.repeats):
            for number, (side, every) in enumerate(SIDES.items()):
                folder = Path(scratch, f"{repeat}-{number}")
                times[side].append(seconds_of_epoch(data, every, options.epochs, options.device, folder))
                if every is not None:
                    newest = max((folder / "checkpoints").iterdir())
                    size = sum(file.stat().st_size for file in newest.iterdir())
    for side, found in times.items():
        print(f"{side:<32}{statistics.median(found):8.3f} s an epoch")
    without, with_one = times.values()
    ratio = statistics.median(one / other for one, other in zip(with_one, without, strict=True))
    print(f"ratio{ratio:35.4f}   (checkpoint: {size / 1e6:.2f} MB)")


if __name__ == "__main__":
    main()
