"""How an epoch is divided into steps, batches and shares of processes."""

from __future__ import annotations

import itertools

import torch

from lossreg.training.data.batch_plan import BatchPlan
from tests.table import for_each

SIZES = [
    (count, batch_size, accumulate, processes)
    for count, batch_size, accumulate, processes in itertools.product(
        (1, 2, 7, 64, 65, 130), (1, 3, 64), (1, 4), (1, 2, 3)
    )
]


@for_each(("count", "batch_size", "accumulate", "processes"), SIZES)
def test_every_sample_counts_once(count: int, batch_size: int, accumulate: int, processes: int) -> None:
    """Over all processes each position of the order counts exactly once, and each step has the same samples."""
    seen: list[int] = []
    steps = []
    for rank in range(processes):
        cuts = BatchPlan(count, batch_size, accumulate, rank, processes)
        parts = [samples for step in cuts for samples in step.micro_batches]
        ranges = list(cuts.ranges())
        assert len(parts) == len(ranges)
        for samples, (first, last) in zip(parts, ranges, strict=True):
            assert samples in (0, last - first)
            assert last > first  # nobody computes an empty batch
            seen += range(first, last) if samples else ()
        steps.append([step.samples for step in cuts])
        assert len(steps[-1]) == cuts.steps
    assert sorted(seen) == list(range(count))
    assert all(sizes == steps[0] for sizes in steps)
    assert sum(steps[0]) == count


@for_each(("count", "batch_size", "accumulate", "processes"), SIZES)
def test_the_largest_and_the_smallest_part(count: int, batch_size: int, accumulate: int, processes: int) -> None:
    """They are those that some process really takes."""
    cuts = [BatchPlan(count, batch_size, accumulate, rank, processes) for rank in range(processes)]
    sizes = [samples for one in cuts for step in one for samples in step.micro_batches if samples]
    assert (cuts[0].smallest, cuts[0].largest) == (min(sizes), max(sizes))


@for_each(("count", "batch_size", "accumulate", "processes"), SIZES)
def test_batches_are_cut_from_the_order(count: int, batch_size: int, accumulate: int, processes: int) -> None:
    """Each process gets the parts of an order that its ranges name, from any batch on, and none after the last."""
    order = torch.arange(count).flip(0)
    for rank in range(processes):
        cuts = BatchPlan(count, batch_size, accumulate, rank, processes)
        expected = [order[first:last].tolist() for first, last in cuts.ranges()]
        for skipped in {0, 1, len(expected) - 1, len(expected)}:
            assert [part.tolist() for part in cuts.batches(order, skipped)] == expected[skipped:]


def test_many_batches_are_cut_in_blocks() -> None:
    """More batches than are split at a time are all there, in order."""
    order = torch.arange(1001)
    parts = list(BatchPlan(1001, 1).batches(order, skipped=3))
    assert [part.tolist() for part in parts] == [[index] for index in range(3, 1001)]


def test_batches_are_those_of_one_process() -> None:
    """The shares of a batch together are the batch, in the order of the ranks."""
    alone = list(BatchPlan(10, 4).ranges())
    first, second = (list(BatchPlan(10, 4, rank=rank, world_size=2).ranges()) for rank in range(2))
    assert [(a[0], b[1]) for a, b in zip(first, second, strict=True)] == alone == [(0, 4), (4, 8), (8, 10)]
