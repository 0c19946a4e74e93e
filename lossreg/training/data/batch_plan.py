"""How an epoch is cut: into steps, their micro-batches, and what each process takes of them. A function of counts."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import TYPE_CHECKING, NamedTuple

import attrs

if TYPE_CHECKING:
    from torch import Tensor

_BLOCK = 256  # batches that an order is split into at a time: a slice for each would cost ten times as much


class StepPlan(NamedTuple):
    """One step of the optimizer.

    Attributes:
        micro_batches: How many samples of each of its batches this process takes. 0 where a batch has fewer samples
            than there are processes: this one computes the whole batch then, because not every model takes an empty
            one, and none of it counts.
        samples: Samples of all batches, over all processes.
    """

    micro_batches: tuple[int, ...]
    samples: int


@attrs.frozen
class BatchPlan:
    """The steps of an epoch, as one process sees them.

    Iterating gives the steps. The samples of a step are the same for every number of processes: each batch is cut
    among them, not the data set.

    Attributes:
        count: Samples of an epoch.
        batch_size: Samples of a batch, over all processes; the last may be smaller.
        accumulate: Batches of a step; the last step may have fewer.
        rank: This process.
        world_size: How many processes there are.

    Example:
        >>> plan = BatchPlan(5, batch_size=2, rank=0, world_size=2)
        >>> [step.micro_batches for step in plan], list(plan.ranges())
        ([(1,), (1,), (0,)], [(0, 1), (2, 3), (4, 5)])
    """

    count: int
    batch_size: int
    accumulate: int = 1
    rank: int = 0
    world_size: int = 1

    @property
    def steps(self) -> int:
        """Steps of an epoch."""
        return -(-self.count // (self.batch_size * self.accumulate))

    @property
    def is_whole(self) -> bool:
        """Whether this process takes every step as one batch."""
        return self.world_size == 1 and (self.accumulate == 1 or self.count <= self.batch_size)

    @property
    def largest(self) -> int:
        """Samples of the largest micro-batch that any process takes."""
        return -(-min(self.batch_size, self.count) // self.world_size)

    @property
    def smallest(self) -> int:
        """Samples of the smallest micro-batch that any process takes and that counts."""
        last = self.count % self.batch_size or self.batch_size
        return max(min(last, self.count) // self.world_size, 1)

    def __iter__(self) -> Iterator[StepPlan]:
        return self.after(0)

    def after(self, steps: int) -> Iterator[StepPlan]:
        """The steps of an epoch that are left when some are done.

        Example:
            >>> [step.samples for step in BatchPlan(5, batch_size=2).after(1)]
            [2, 1]
        """
        size = self.batch_size * self.accumulate
        full, rest = divmod(self.count, size)
        if full > steps:
            yield from itertools.repeat(self._step(size), full - steps)
        if rest and steps <= full:
            yield self._step(rest)

    def micro_batches(self, steps: int) -> int:
        """How many batches of one process the first steps of an epoch have.

        Example:
            >>> BatchPlan(5, batch_size=1, accumulate=2).micro_batches(2)
            4
        """
        return min(steps * self.accumulate, -(-self.count // self.batch_size))

    def _step(self, samples: int) -> StepPlan:
        batches = [min(self.batch_size, samples - first) for first in range(0, samples, self.batch_size)]
        return StepPlan(tuple(last - first for first, last in map(self._share, batches)), samples)

    def _share(self, samples: int) -> tuple[int, int]:
        """What this process takes of a batch."""
        return samples * self.rank // self.world_size, samples * (self.rank + 1) // self.world_size

    def ranges(self) -> Iterator[tuple[int, int]]:
        """Where each micro-batch, in turn, begins and ends in the order of the epoch."""
        count, size = self.count, self.batch_size
        if self.world_size == 1:
            for first in range(0, count, size):
                yield first, min(first + size, count)
            return
        for first in range(0, count, size):
            begin, end = self._share(min(size, count - first))
            yield (first + begin, first + end) if end > begin else (first, min(first + size, count))

    def batches(self, order: Tensor, skipped: int = 0) -> Iterator[Tensor]:
        """The part of an order `(count,)` that each micro-batch takes, the first `skipped` left out."""
        if self.world_size == 1:
            block = _BLOCK * self.batch_size
            for first in range(skipped * self.batch_size, self.count, block):
                yield from order[first : min(first + block, self.count)].split(self.batch_size)
            return
        for first, last in itertools.islice(self.ranges(), skipped, None):
            yield order[first:last]

    def describe_cut(self) -> str:
        """What a step is cut into, in words."""
        batches = f"{self.accumulate} accumulated batches" if self.accumulate > 1 else ""
        shares = f"the shares of {self.world_size} processes" if self.world_size > 1 else ""
        return " and ".join(filter(None, (batches, shares)))
