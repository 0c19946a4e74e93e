"""Metrics over a split, by one process or by several that take its batches in turn."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

import torch
from torch import Tensor

from lossreg.training.metrics.adapter import Batch
from lossreg.training.metrics.number import finite_or_none, number_of

if TYPE_CHECKING:
    from lossreg.training.data.splits import Split
    from lossreg.training.hardware.distributed import Processes
    from lossreg.training.metrics.named import BuiltMetric

logger = logging.getLogger("lossreg")


class Tally:
    """The values of metrics over a split.

    Several processes take batches in turn. A metric whose sums add up is updated by each process with its own batches;
    any other one by each process with all of them, in their order, so that its value is that of one process.

    Args:
        metrics: The metrics.
        split: The split.
        name: Its name.
        batch_size: Samples of each batch but the last.
        ignored: The target that the loss leaves out, or None.
        threshold: As of `Batch`.
        device: Where outputs and targets are.
        processes: Those that evaluate together.
    """

    def __init__(
        self,
        metrics: Sequence[BuiltMetric],
        split: Split,
        name: str,
        batch_size: int,
        ignored: int | None,
        threshold: float | None,
        device: torch.device,
        processes: Processes,
    ) -> None:
        self._metrics = metrics
        self._name = name
        self._processes = processes
        self._threshold = threshold
        filters = ignored is not None and not all(one.adapter.leaves_out for one in metrics)
        self._ignored = ignored if filters and ignored is not None and split.may_hold(ignored) else None
        shared = processes.world_size > 1
        self._own = [one for one in metrics if not shared or one.sums is not None]
        self._all = [one for one in metrics if shared and one.sums is None]
        self._exchange = _Exchange(processes, len(split), batch_size, device) if self._all else None
        for one in metrics:
            with _blaming(one, name):
                one.metric.reset()

    def update(self, output: Tensor, targets: Tensor) -> None:
        """Takes a batch of this process."""
        self._update(self._own, output, targets)
        if self._exchange is not None:
            for pair in self._exchange.round(output, targets):
                self._update(self._all, *pair)

    def _update(self, metrics: Sequence[BuiltMetric], output: Tensor, targets: Tensor) -> None:
        batch = Batch(output, targets, self._threshold)
        counted = batch if self._ignored is None else batch.without(self._ignored)
        for one in metrics:
            with _blaming(one, self._name):
                one.metric.update(*one.adapter(batch if one.adapter.leaves_out else counted))

    def values(self) -> dict[str, float | None]:
        """Name of a metric -> its value over the split, the same in all processes; None if it is not finite."""
        if self._exchange is not None:
            for pair in self._exchange.last_round():
                self._update(self._all, *pair)
        found = {}
        for one in self._metrics:
            with _blaming(one, self._name):
                sums = one.sums
                if sums is not None:
                    for tensor in sums.values():
                        self._processes.all_reduce(tensor)
                found[one.name] = finite_or_none(number_of(one.metric.compute(), one.label))
            self._tell(one, found[one.name])
        return self._processes.broadcast_object(found)  # equal but for the order of a GPU's additions

    def _tell(self, one: BuiltMetric, value: float | None) -> None:
        if value is None and self._name not in one.told and self._processes.is_main:
            one.told.add(self._name)
            logger.warning(
                "the metric %s has no finite value on the %s split, and its rows have null there", one.label, self._name
            )


class _Exchange:
    """Gives every process all batches of a round, in which each takes one; a last round may have fewer.

    Args:
        processes: Those that evaluate together.
        count: Samples of the split.
        batch_size: Samples of each batch but the last.
        device: Where they are.
    """

    def __init__(self, processes: Processes, count: int, batch_size: int, device: torch.device) -> None:
        self._processes = processes
        self._count = count
        self._size = min(batch_size, count)
        self._batches = -(-count // batch_size)
        self._rounds = -(-self._batches // processes.world_size)
        self._done = 0
        self._like: list[tuple[tuple[int, ...], torch.dtype]] | None = None  # of output and targets, without samples
        self._device = device

    def round(self, output: Tensor, targets: Tensor) -> Iterator[tuple[Tensor, Tensor]]:
        """The batches of all processes, in their order.

        Args:
            output: Of the batch of this process.
            targets: Of the same.
        """
        self._agree([(tuple(one.shape[1:]), one.dtype) for one in (output, targets)])
        yield from self._exchanged([output, targets])

    def last_round(self) -> Iterator[tuple[Tensor, Tensor]]:
        """The same where this process has no batch left and others have one."""
        if self._done == self._rounds:
            return
        self._agree(None)
        assert self._like is not None  # noqa: S101  # the main process has a batch in every round
        yield from self._exchanged(
            [torch.empty((0, *shape), dtype=dtype, device=self._device) for shape, dtype in self._like]
        )

    def _agree(self, like: list[tuple[tuple[int, ...], torch.dtype]] | None) -> None:
        """Learns from the main process, once, of which form batches are."""
        if self._like is None:
            self._like = self._processes.broadcast_object(like)

    def _exchanged(self, pair: Sequence[Tensor]) -> Iterator[tuple[Tensor, Tensor]]:
        first = self._done * self._processes.world_size
        self._done += 1
        held = [self._processes.all_gather(_padded(one, self._size)) for one in pair]
        for rank in range(min(self._processes.world_size, self._batches - first)):
            samples = min(self._size, self._count - (first + rank) * self._size)
            output, targets = (of_all[rank][:samples] for of_all in held)
            yield output, targets


def _padded(tensor: Tensor, size: int) -> Tensor:
    """A tensor of that many samples: a group exchanges tensors of one shape."""
    tensor = tensor.contiguous()
    missing = size - len(tensor)
    return torch.cat([tensor, tensor.new_zeros(missing, *tensor.shape[1:])]) if missing else tensor


@contextlib.contextmanager
def _blaming(metric: BuiltMetric, split: str) -> Iterator[None]:
    """A block whose errors say which metric raised them."""
    try:
        yield
    except Exception as error:
        error.add_note(f"lossreg: raised by the metric {metric.label} on the {split} split")
        raise
