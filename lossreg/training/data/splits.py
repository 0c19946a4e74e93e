"""A split on its way to the device: resident as one tensor, or read batch by batch through a data loader."""

from __future__ import annotations

import gc
import multiprocessing
import pickle
import warnings
from collections.abc import Iterable, Iterator
from typing import Protocol

import torch
from torch import Tensor
from torch.utils.data import DataLoader, Sampler

from lossreg.errors import DataError, describe_error
from lossreg.training.data.batch_plan import BatchPlan
from lossreg.training.data.order import sample_order
from lossreg.training.data.reader import Batch, Key, Reader, check_classes
from lossreg.training.data.worker_signals import holding_signals_back, outlive_signals
from lossreg.training.seeds import EVALUATION_EPOCH, sample_seeds


class Split(Protocol):
    """What the loop needs of a split.

    Attributes:
        loader: `resident` or `dataloader`.
        reason: Why.
    """

    loader: str
    reason: str

    def __len__(self) -> int: ...

    def head(self, count: int) -> Batch:
        """The first samples, on the device."""

    def expect(self, classes: int | None, ignored: int | None) -> None:
        """Has class indices checked, now or as they are read.

        Raises:
            DataError: If a target is neither one of 0 to `classes - 1` nor `ignored`.
        """

    def may_hold(self, target: int) -> bool:
        """Whether a target may occur: False if it surely does not."""

    def set_memory_format(self, memory_format: torch.memory_format) -> None:
        """Gives images another layout in memory."""

    def epoch(self, plan: BatchPlan, seed: int, epoch: int, skipped: int = 0) -> Iterator[Batch]:
        """The batches of an epoch of training, one for each micro-batch of the plan, on the device.

        The first `skipped` of them are left out: they were trained on already.
        """

    def batch(self, indices: Tensor, seed: int, epoch: int) -> Batch:
        """Samples as an epoch of training reads them, on the device, once more."""

    def in_order(self, ranges: Iterable[tuple[int, int]], seed: int) -> Iterator[Batch]:
        """Batches of samples as they lie, on the device."""

    def close(self) -> None:
        """Ends what works in the background."""


class ResidentSplit:
    """All samples of a split as one tensor on the device; a batch is a gather.

    Args:
        inputs: `(N, *in_shape)`.
        targets: `(N, *)`.
        where: The split in an error message.
        reason: Why it is resident.
    """

    loader = "resident"

    def __init__(self, inputs: Tensor, targets: Tensor, where: str, reason: str) -> None:
        self._stored = inputs
        self.targets = targets
        self.where = where
        self.reason = reason
        self._channels_last = False

    def __len__(self) -> int:
        return len(self.targets)

    @property
    def inputs(self) -> Tensor:
        """`(N, *in_shape)`, in the memory format that was set."""
        return self._shaped(self._stored)

    def head(self, count: int) -> Batch:
        """Copies of the first samples: a model may change its input in place."""
        return self.inputs[:count].clone(), self.targets[:count].clone()

    def expect(self, classes: int | None, ignored: int | None) -> None:
        """Checks all class indices.

        Raises:
            DataError: If one is wrong, or all are ignored.
        """
        if classes is None:
            return
        if ignored is not None and bool((self.targets == ignored).all()):
            raise DataError(f"in {self.where} every target is the ignored index {ignored}")
        check_classes(self.targets, classes, ignored, self.where)

    def may_hold(self, target: int) -> bool:
        """Whether a target occurs."""
        return bool((self.targets == target).any())

    def set_memory_format(self, memory_format: torch.memory_format) -> None:
        """Stores images `(N, C, H, W)` as `(N, H, W, C)`, so that a gather copies whole rows, or as `(N, C, H, W)`."""
        if self._stored.ndim != 4:
            return
        wanted = memory_format is torch.channels_last
        if wanted and not self._channels_last:
            self._stored = self._stored.permute(0, 2, 3, 1).contiguous()
        elif not wanted:
            self._stored = self.inputs.to(memory_format=torch.contiguous_format)
        self._channels_last = wanted

    def _shaped(self, stored: Tensor) -> Tensor:
        return stored.permute(0, 3, 1, 2) if self._channels_last else stored

    def epoch(self, plan: BatchPlan, seed: int, epoch: int, skipped: int = 0) -> Iterator[Batch]:
        """Gathers the batches of an epoch."""
        inputs, targets = self._stored, self.targets
        order = sample_order(seed, epoch, len(self))
        if targets.device.type == "cuda":
            order = order.pin_memory().to(targets.device, non_blocking=True)  # a plain copy would wait for the device
        else:
            order = order.to(targets.device)
        for chosen in plan.batches(order, skipped):
            gathered = inputs.index_select(0, chosen)
            yield self._shaped(gathered) if self._channels_last else gathered, targets.index_select(0, chosen)

    def batch(self, indices: Tensor, seed: int, epoch: int) -> Batch:
        """Gathers samples."""
        del seed, epoch
        chosen = indices.to(self.targets.device)
        return self._shaped(self._stored.index_select(0, chosen)), self.targets.index_select(0, chosen)

    def in_order(self, ranges: Iterable[tuple[int, int]], seed: int) -> Iterator[Batch]:
        """Copies batches: a model may change its input in place, and the samples are the data set's own."""
        del seed
        inputs, targets = self.inputs, self.targets
        for first, last in ranges:
            yield inputs[first:last].clone(), targets[first:last].clone()

    def close(self) -> None:
        """Nothing works in the background."""


class StreamedSplit:
    """A split that a torch DataLoader reads batch by batch, in worker processes if there are any.

    Args:
        reader: Reads the samples.
        device: The device of the batches.
        workers: Processes that read.
        reason: Why it is not resident.
    """

    loader = "dataloader"

    def __init__(self, reader: Reader, device: torch.device, workers: int, reason: str) -> None:
        self.reader = reader
        self.device = device
        self.workers = workers
        self.reason = reason
        self._memory_format = torch.preserve_format
        self._keys = _Keys()
        self._data_loader: DataLoader[Batch | DataError] | None = None

    def __len__(self) -> int:
        return len(self.reader)

    def head(self, count: int) -> Batch:
        """Reads the first samples, in this process."""
        count = min(count, len(self))
        return self._moved(self.reader.read(range(count), sample_seeds(0, EVALUATION_EPOCH, count).tolist()))

    def expect(self, classes: int | None, ignored: int | None) -> None:
        """Has the class indices checked as they are read."""
        self.reader.expect(classes, ignored)

    def may_hold(self, target: int) -> bool:
        """Always: what there is shows only when all is read."""
        del target
        return True

    def set_memory_format(self, memory_format: torch.memory_format) -> None:
        """Gives the images of each batch the layout."""
        self._memory_format = memory_format

    def epoch(self, plan: BatchPlan, seed: int, epoch: int, skipped: int = 0) -> Iterator[Batch]:
        """Reads the batches of an epoch."""
        order, seeds = sample_order(seed, epoch, len(self)), sample_seeds(seed, epoch, len(self))
        return self._read(plan.batches(order, skipped), seeds)

    def batch(self, indices: Tensor, seed: int, epoch: int) -> Batch:
        """Reads samples, in this process."""
        seeds = sample_seeds(seed, epoch, len(self))[indices]
        return self._moved(self.reader.read(indices.tolist(), seeds.tolist()))

    def in_order(self, ranges: Iterable[tuple[int, int]], seed: int) -> Iterator[Batch]:
        """Reads batches of samples as they lie, with the same seeds each time."""
        indices = torch.arange(len(self))
        return self._read(
            (indices[first:last] for first, last in ranges), sample_seeds(seed, EVALUATION_EPOCH, len(self))
        )

    def _read(self, chosen: Iterator[Tensor], seeds: Tensor) -> Iterator[Batch]:
        self._keys.keys = ((part.tolist(), seeds[part].tolist()) for part in chosen)
        where = self.reader.where
        try:
            batches = self._started()
        except (AttributeError, TypeError, pickle.PicklingError) as error:  # where workers are not forked
            raise DataError(
                f"{where} cannot be sent to workers: {error}; workers=0 (--workers 0) reads it in this process"
            ) from error
        while True:
            try:
                batch = next(batches, None)
            except (RuntimeError, OSError, EOFError) as error:  # the reader raises nothing: it returns what is wrong
                guard = ""
                if multiprocessing.get_start_method() != "fork":
                    guard = ", or the script that started this run has no `if __name__ == '__main__':`"
                raise DataError(
                    f"{where}: a worker was ended from outside ({describe_error(error)}); the memory may have run out"
                    f"{guard}: fewer workers (--workers) need less, and 0 reads in this process"
                ) from error
            if batch is None:
                return
            if isinstance(batch, DataError):
                raise batch
            yield self._moved(batch)

    def _started(self) -> Iterator[Batch | DataError]:
        with warnings.catch_warnings():
            # More workers than cores are what the user asked for.
            warnings.filterwarnings("ignore", "This DataLoader will create", UserWarning)
            if self._data_loader is None:
                self._data_loader = DataLoader(
                    self.reader,
                    batch_size=None,  # the reader makes batches, so that the seeds travel with the indices
                    sampler=self._keys,
                    num_workers=self.workers,
                    persistent_workers=self.workers > 0,
                    pin_memory=self.device.type == "cuda",
                    generator=torch.Generator(),  # the global one belongs to the model
                    worker_init_fn=outlive_signals,
                )
            # What is garbage here must not be collected by a forked worker: it cannot free the tensors of a GPU.
            gc.freeze()
            try:
                with holding_signals_back():
                    return iter(self._data_loader)
            finally:
                gc.unfreeze()

    def _moved(self, batch: Batch) -> Batch:
        inputs, targets = batch
        return (
            inputs.to(self.device, non_blocking=True, memory_format=self._memory_format),
            targets.to(self.device, non_blocking=True),
        )

    def close(self) -> None:
        """Ends the workers."""
        # An error that is kept somewhere keeps the iterator, and with it the workers, so torch is told.
        end = getattr(getattr(self._data_loader, "_iterator", None), "_shutdown_workers", None)
        if end is not None:
            end()
        self._data_loader = None


class _Keys(Sampler[Key]):
    """What the data loader asks the reader for, set anew for each epoch."""

    keys: Iterator[Key]

    def __iter__(self) -> Iterator[Key]:
        return self.keys
