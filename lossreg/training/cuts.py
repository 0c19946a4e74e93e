"""How an epoch is cut: into steps, their batches, and what each process takes of them. A function of counts alone."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import attrs
import numpy as np
import torch
from torch import Tensor


class Step(NamedTuple):
    """One step of the optimizer.

    Attributes:
        parts: How many samples of each of its batches this process takes. 0 where a batch has fewer samples than there
            are processes: this one computes the whole batch then, since a model need not take an empty one, and none
            of it counts.
        samples: Samples of all batches, over all processes.
    """

    parts: tuple[int, ...]
    samples: int


@attrs.frozen
class Cuts:
    """The steps of an epoch, as one process sees them.

    Iterating gives the steps. The samples of a step are the same for every number of processes: each batch is cut
    among them, not the data set.

    Attributes:
        count: Samples of an epoch.
        batch_size: Samples of a batch, over all processes; the last may be smaller.
        accumulate: Batches of a step; the last step may have fewer.
        rank: This process.
        processes: How many there are.

    Example:
        >>> cuts = Cuts(5, batch_size=2, rank=0, processes=2)
        >>> [step.parts for step in cuts], list(cuts.ranges())
        ([(1,), (1,), (0,)], [(0, 1), (2, 3), (4, 5)])
    """

    count: int
    batch_size: int
    accumulate: int = 1
    rank: int = 0
    processes: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.count // (self.batch_size * self.accumulate))

    @property
    def whole(self) -> bool:
        """Whether this process takes every step as one batch."""
        return self.accumulate == 1 and self.processes == 1

    @property
    def largest(self) -> int:
        """Samples of the largest part that any process takes."""
        return -(-min(self.batch_size, self.count) // self.processes)

    @property
    def smallest(self) -> int:
        """Samples of the smallest part that any process takes and that counts."""
        last = self.count % self.batch_size or self.batch_size
        return max(min(last, self.count) // self.processes, 1)

    def __iter__(self) -> Iterator[Step]:
        size = self.batch_size * self.accumulate
        full, rest = divmod(self.count, size)
        if full:
            yield from itertools.repeat(self._step(size), full)
        if rest:
            yield self._step(rest)

    def _step(self, samples: int) -> Step:
        batches = [min(self.batch_size, samples - first) for first in range(0, samples, self.batch_size)]
        return Step(tuple(last - first for first, last in map(self._share, batches)), samples)

    def _share(self, samples: int) -> tuple[int, int]:
        """What this process takes of a batch."""
        return samples * self.rank // self.processes, samples * (self.rank + 1) // self.processes

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Where each part of each step, in turn, begins and ends in the order of the epoch."""
        count, size = self.count, self.batch_size
        if self.processes == 1:
            for first in range(0, count, size):
                yield first, min(first + size, count)
            return
        for first in range(0, count, size):
            begin, end = self._share(min(size, count - first))
            yield (first + begin, first + end) if end > begin else (first, min(first + size, count))


def sample_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which an epoch takes its samples: a function of seed and epoch, and of nothing else.

    It is `numpy.random.default_rng([seed, epoch]).permutation(count)`, so that any process, and any other program, can
    have it without running what came before. (torch's CPU generator uses only 32 bits of its seed.)

    Returns:
        Indices `(count,)`, int64, on the CPU.

    Example:
        >>> sample_order(0, 3, 5).tolist() == sample_order(0, 3, 5).tolist()
        True
    """
    return torch.from_numpy(np.random.default_rng([seed, epoch]).permutation(count))


def sample_seeds(seed: int, epoch: int, count: int) -> Tensor:
    """The seed with which each sample is read, for data sets that draw random numbers (augmentation).

    With the order it makes what is read a function of seed and epoch too, whatever reads it.

    Returns:
        `(count,)`, int64, 0 to 2**32 - 1, by index of the sample (not by position in the order).
    """
    return torch.from_numpy(np.random.default_rng([seed, epoch, 1]).integers(2**32, size=count, dtype=np.int64))
