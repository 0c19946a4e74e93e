"""Seconds that training on MNIST takes per epoch of 60,000 samples, by hand, with lossreg and with other trainers.

The network of the MNIST tutorials, batches of 64, SGD at 0.01 without momentum, cross-entropy, float32. `tutorial` is
their loop as it is written: a picture at a time through ToTensor, NCHW, `running_loss += loss.item()`. `hand` is the
best loop by hand. The others are set up as a careful user would (peers.py); those that are not installed are left out
(`pip install lightning pytorch-ignite skorch accelerate transformers`).

Timed is one epoch of training, from its first batch to its last, without the making of model, data and trainer and
without evaluation: for lossreg `seconds` of the epoch's row, for Lightning, Ignite and the Trainer of Hugging Face
between the hooks of the epoch's start and end, for skorch by its own timer of epochs, else by a clock around the loop.
The sides take turns; medians of
the times, and of the ratios of neighbouring times, are printed.

    python benchmarks/train.py [--root DIR] [--samples 60000] [--repeats 5] [--device cpu] [--bulk]
    python benchmarks/train.py --memory --root DIR

DIR holds MNIST/raw; without it, and without LOSSREG_DATA, the digits of lossreg are repeated. --memory prints the peak
of resident memory, in MiB, of a process that loads MNIST, trains an epoch and evaluates on the test split, and for
comparison that of one that only imports torch and torchvision.
"""

from __future__ import annotations

import argparse
import os
import resource
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping
from typing import Any

import torch
from job import BATCH, LR, Clock, Job, Side, hand_epoch, lossreg_epochs, measure
from peers import PEERS, installed
from torch import Tensor, nn
from torch.nn.functional import cross_entropy

import lossreg

EPOCH = 60_000  # samples


def cnn() -> nn.Module:
    """The network of the MNIST tutorials."""
    return nn.Sequential(
        nn.Conv2d(1, 32, 3),
        nn.MaxPool2d(2),
        nn.Conv2d(32, 64, 3),
        nn.MaxPool2d(2),
        nn.Flatten(),
        nn.Linear(1600, 64),
        nn.ReLU(),
        nn.Linear(64, 10),
    )


def load_split(root: str, *, train: bool) -> tuple[Tensor, Tensor]:
    """A split of MNIST as a careful user loads it: all that ToTensor would give, at once."""
    from torchvision.datasets import MNIST

    split = MNIST(root, train=train)
    return split.data.unsqueeze(1).float().div_(255), split.targets


def load_digits() -> tuple[Tensor, Tensor]:
    """The digits of lossreg, repeated, in the 256 grey values of MNIST."""
    inputs, targets = lossreg.datasets.build("digits").train  # type: ignore[misc]  # this one is of tensors
    chosen = torch.arange(EPOCH) % len(targets)
    return inputs.float().mul(255).round().div(255)[chosen], targets[chosen]


def tutorial(job: Job) -> float:
    """The loop of the tutorials."""
    from torch.utils.data import DataLoader
    from torchvision.datasets import MNIST
    from torchvision.transforms import ToTensor

    class Pictures(MNIST):  # type: ignore[misc]  # torchvision is untyped
        def __init__(self, images: Tensor, targets: Tensor) -> None:
            self.data, self.targets = images, targets
            self.transform, self.target_transform = ToTensor(), None

    images = job.inputs.squeeze(1).mul(255).round().to(torch.uint8)
    loader: DataLoader[Any] = DataLoader(Pictures(images, job.targets), batch_size=BATCH, shuffle=True)
    torch.manual_seed(job.seed)
    model = job.architecture().to(job.device)
    criterion = nn.CrossEntropyLoss()
    optimizer = torch.optim.SGD(model.parameters(), lr=LR)
    clock = Clock(job.device)
    clock.start()
    running_loss = 0.0
    for inputs, targets in loader:
        inputs, targets = inputs.to(job.device), targets.to(job.device)
        optimizer.zero_grad()
        loss = criterion(model(inputs), targets)
        loss.backward()
        optimizer.step()
        running_loss += loss.item()
    clock.stop()
    return clock.seconds


def lossreg_epoch(job: Job) -> float:
    """An epoch with lossreg."""
    return lossreg_epochs(job, 1)[0]


OWN: Mapping[str, tuple[str, Side]] = {
    "tutorial": ("tutorial", tutorial),
    "hand": ("best hand loop", hand_epoch),
    "lossreg": ("lossreg", lossreg_epoch),
}
NAMES = [*OWN, *(name for name in PEERS if name != "fabric")]  # what Fabric prepares for the loop, Accelerate does, too


def time_sides(options: argparse.Namespace) -> None:
    """Prints the table of times."""
    inputs, targets = load_split(options.root, train=True) if options.root else load_digits()
    job = Job(inputs, targets, cnn, device=options.device, seed=options.seed, bulk=options.bulk).first(options.samples)
    sides = dict(label_and_side for name, label_and_side in OWN.items() if name in options.sides)
    sides |= installed([name for name in options.sides if name in PEERS])
    times = measure(sides, job, options.repeats)
    hand, written = times.get("best hand loop"), times.get("tutorial")
    print(f"{'':<30}{'s / epoch':>10}{'over hand':>11}{'tutorial over it':>18}")
    for label, side in times.items():
        over_hand = f"{side.over(hand):.3f}" if hand else ""
        tutorial_over = f"{written.over(side):.2f}" if written else ""
        print(f"{label:<30}{side.median * EPOCH / len(job.targets):>10.2f}{over_hand:>11}{tutorial_over:>18}")


def train_by_hand(options: argparse.Namespace) -> None:
    """Loads MNIST, trains an epoch and evaluates, as a careful user would."""
    inputs, targets = load_split(options.root, train=True)
    test_inputs, test_targets = load_split(options.root, train=False)
    job = Job(inputs, targets, cnn, device=options.device, seed=options.seed).first(options.samples)
    model = job.model()
    hand_epoch(job, model)
    test_inputs, test_targets = test_inputs.to(job.device), test_targets.to(job.device)
    model.eval()
    with torch.inference_mode():
        total, correct = torch.zeros((), device=job.device), torch.zeros((), device=job.device)
        for batch, expected in zip(test_inputs.split(BATCH), test_targets.split(BATCH), strict=True):
            output = model(batch)
            total.add_(cross_entropy(output, expected), alpha=len(batch))
            correct += (output.argmax(dim=1) == expected).sum()
        total.item(), correct.item()


def train_by_lossreg(options: argparse.Namespace) -> None:
    """The same with lossreg."""
    with tempfile.TemporaryDirectory() as out:
        lossreg.run(
            data=lossreg.ComponentSpec("mnist", {"root": options.root}),
            loss="cross_entropy",
            optimizer=f"sgd(lr={LR}, momentum=0.0)",
            epochs=1,
            batch_size=BATCH,
            seed=options.seed,
            device=options.device,
            limit_train=options.samples,
            precision="32",
            out=out,
            quiet=True,
        )


def train_nothing(_: argparse.Namespace) -> None:
    """Imports what both others do."""
    import torchvision.datasets  # noqa: F401


CHILDREN: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "imports alone": train_nothing,
    "best hand loop": train_by_hand,
    "lossreg": train_by_lossreg,
}


def peak_memory() -> float:
    """MiB that were resident in this process at most."""
    # Linux counts in KiB, macOS in bytes.
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (2**20 if sys.platform == "darwin" else 2**10)


def weigh_sides(options: argparse.Namespace) -> None:
    """Prints the table of memory."""
    if not options.root:
        raise SystemExit("--memory loads MNIST; name its folder with --root")
    peaks: dict[str, list[float]] = {label: [] for label in CHILDREN}
    for _ in range(options.repeats):
        for label in CHILDREN:
            command = [sys.executable, __file__, *sys.argv[1:], "--child", label]
            # This process holds no data, and so less than a child: Linux counts what was resident before exec, too.
            peaks[label].append(float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout))
    hand = statistics.median(peaks["best hand loop"])
    print(f"{'':<30}{'peak MiB':>10}{'over hand':>11}")
    for label, measured in peaks.items():
        median = statistics.median(measured)
        print(f"{label:<30}{median:>10.0f}{median / hand:>11.2f}")


def main() -> None:
    """Prints a table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--samples", type=int, default=EPOCH, help="samples to train on, at most 60,000")
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--sides", nargs="+", choices=NAMES, default=NAMES, metavar="SIDE", help=", ".join(NAMES))
    parser.add_argument("--device", default="cpu", help="cpu, cuda or mps")
    parser.add_argument("--root", default=os.environ.get("LOSSREG_DATA"), help="holds MNIST/raw; else LOSSREG_DATA")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--bulk", action="store_true", help="the peers' DataLoaders index a whole batch at once")
    parser.add_argument("--memory", action="store_true", help="measure memory instead of time")
    parser.add_argument("--child", choices=CHILDREN, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        CHILDREN[options.child](options)
        print(peak_memory())
    elif options.memory:
        weigh_sides(options)
    else:
        time_sides(options)


if __name__ == "__main__":
    main()
