"""The job that train.py and overhead.py time, done by hand and by lossreg, and how sides are compared."""

from __future__ import annotations

import gc
import logging
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn.functional import cross_entropy
from torch.utils.data import DataLoader, TensorDataset, default_collate

import lossreg

BATCH = 64
LR = 0.01


@dataclass(frozen=True)
class Job:
    """One epoch of training, from the same initial weights on every side.

    Attributes:
        inputs: float32 on the CPU, grey images `(N, 1, H, W)` or rows `(N, features)`.
        targets: Class indices `(N,)`.
        architecture: Makes the model.
        momentum: Of SGD.
        device: A type of device.
        seed: For the initial weights and the order of samples.
        bulk: Whether the DataLoaders of the peers index a whole batch at once instead of sample by sample.
    """

    inputs: Tensor
    targets: Tensor
    architecture: Callable[[], nn.Module]
    momentum: float = 0.0
    device: str = "cpu"
    seed: int = 0
    bulk: bool = False

    @property
    def images(self) -> bool:
        """Whether the inputs are images."""
        return self.inputs.ndim == 4

    def first(self, count: int) -> Job:
        """The same job with the first N samples."""
        return replace(self, inputs=self.inputs[:count], targets=self.targets[:count])

    def model(self) -> nn.Module:
        """A new model, in training mode."""
        torch.manual_seed(self.seed)
        model = self.architecture().to(self.device)
        return model.to(memory_format=torch.channels_last) if self.images else model

    def optimizer(self, parameters: Iterable[nn.Parameter]) -> torch.optim.Optimizer:
        """The optimizer of all sides but the tutorial."""
        return torch.optim.SGD(parameters, lr=LR, momentum=self.momentum, fused=True)

    def dataset(self) -> TensorDataset:
        """The samples for the peers."""
        return (_BulkDataset if self.bulk else TensorDataset)(self.inputs, self.targets)

    @property
    def collate(self) -> Callable[[Any], Any]:
        """What makes a batch of that data set's samples."""
        return list if self.bulk else default_collate

    def loader(self) -> DataLoader[Any]:
        """Shuffled batches for the peers."""
        pinned = self.device != "cpu"
        return DataLoader(self.dataset(), BATCH, shuffle=True, collate_fn=self.collate, pin_memory=pinned)


class _BulkDataset(TensorDataset):
    """Gives a DataLoader a whole batch where it asks for a list of samples."""

    def __getitems__(self, indices: list[int]) -> list[Tensor]:
        chosen = torch.tensor(indices)
        return [tensor.index_select(0, chosen) for tensor in self.tensors]


class Clock:
    """A stopwatch that waits for the device; its methods can be the handlers of a trainer's events."""

    def __init__(self, device: str) -> None:
        self.device = device
        self.started = self.seconds = 0.0

    def _now(self) -> float:
        if self.device != "cpu":
            torch.accelerator.synchronize()
        return time.perf_counter()

    def start(self, *_: object) -> None:
        """Starts."""
        self.started = self._now()

    def stop(self, *_: object) -> None:
        """Stops."""
        self.seconds = self._now() - self.started


Side = Callable[[Job], float]


def hand_epoch(job: Job, model: nn.Module | None = None) -> float:
    """The best loop by hand: resident tensors, batches gathered by index_select, no wait for the device.

    As for lossreg, the order of samples is made before the clock starts.
    """
    model = model or job.model()
    optimizer = job.optimizer(model.parameters())
    # With one channel, (N, C, H, W) and (N, H, W, C) are the same memory.
    stored = (job.inputs.permute(0, 2, 3, 1) if job.images else job.inputs).to(job.device)
    targets = job.targets.to(job.device)
    order = torch.from_numpy(np.random.default_rng([job.seed, 0]).permutation(len(targets))).to(job.device)
    total = torch.zeros((), device=job.device)
    clock = Clock(job.device)
    clock.start()
    for chosen in order.split(BATCH):
        inputs = stored.index_select(0, chosen)
        if job.images:
            inputs = inputs.permute(0, 3, 1, 2)
        optimizer.zero_grad()
        loss = cross_entropy(model(inputs), targets.index_select(0, chosen))
        loss.backward()
        optimizer.step()
        total.add_(loss.detach(), alpha=len(inputs))
    total.item()
    clock.stop()
    return clock.seconds


def lossreg_epochs(job: Job, epochs: int, *, quiet: bool = True) -> list[float]:
    """Seconds of each epoch of lossreg, without evaluation."""
    train, test = (job.inputs, job.targets), (job.inputs[:BATCH], job.targets[:BATCH])
    shape = tuple(job.inputs.shape[1:])
    with tempfile.TemporaryDirectory() as out:
        result = lossreg.run(
            data=lossreg.Data(train, test, task="classification", in_shape=shape, num_classes=10),
            model=job.model(),
            loss="cross_entropy",
            optimizer=f"sgd(lr={LR}, momentum={job.momentum})",
            epochs=epochs,
            batch_size=BATCH,
            seed=job.seed,
            device=job.device,
            precision="32",
            out=out,
            checkpoint_every=None,  # the peers write none either; checkpoints.py measures what they cost
            quiet=quiet,
        )
    return [row["seconds"] for row in result.metrics]


@dataclass(frozen=True)
class Times:
    """Seconds that a side took, one number for each repetition."""

    seconds: list[float]

    @property
    def median(self) -> float:
        """The median."""
        return statistics.median(self.seconds)

    def over(self, other: Times) -> float:
        """How often this is the other: the median over repetitions, whose two sides ran shortly after another."""
        return statistics.median(mine / theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True))

    def more_than(self, other: Times) -> float:
        """How many seconds this is more: the median over repetitions."""
        return statistics.median(mine - theirs for mine, theirs in zip(self.seconds, other.seconds, strict=True))


def measure(sides: Mapping[str, Side], job: Job, repeats: int) -> dict[str, Times]:
    """What each side gives. The sides take turns, after a short run of each that warms it up."""
    warnings.simplefilter("ignore")
    logging.disable(logging.WARNING)
    for label, side in sides.items():
        side(job.first(20 * BATCH))
        print(f"warmed up: {label}", file=sys.stderr)
    seconds: dict[str, list[float]] = {label: [] for label in sides}
    for _ in range(repeats):
        for label, side in sides.items():
            gc.collect()  # what another side has left is not for this one to clear away
            seconds[label].append(side(job))
    return {label: Times(measured) for label, measured in seconds.items()}
