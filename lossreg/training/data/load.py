"""Decides how a split comes to the device, and brings it there."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import TensorDataset

from lossreg.errors import DataError, describe_error
from lossreg.machine import available_cores
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.data.reader import Reader, check_values
from lossreg.training.data.splits import ResidentSplit, StreamedSplit
from lossreg.training.display.counter import Counter
from lossreg.training.seeds import sample_seeds

if TYPE_CHECKING:
    from lossreg import data
    from lossreg.data import Task
    from lossreg.run_spec import Loader

READ_AT_ONCE = 256  # samples read at a time when a data set is made resident
MAX_WORKERS = 8
MEMORY_SHARE = 0.5  # of the memory that a device has free: the rest is for the model and what it computes


def load_split(
    split: data.Split,
    task: Task,
    limit: int | None,
    device: torch.device,
    where: str,
    *,
    loader: Loader = "auto",
    workers: int | None = None,
    local_world_size: int = 1,
    quiet: bool = True,
) -> ResidentSplit | StreamedSplit:
    """Brings a split to the device, or makes ready what reads it.

    Tensors are made resident where they fit into half of the memory that the device has free. The samples of a
    map-style data set may differ each time they are read, so they are read in every epoch unless the loader is
    `resident`.

    Args:
        split: A pair of tensors, or a map-style data set of pairs.
        task: Decides the type of the targets.
        limit: Only the first N samples; None is all.
        device: The device of the samples.
        where: The split in an error message: `data set digits, split train`.
        loader: `auto`, `resident` or `dataloader`.
        workers: Processes that read for a data loader; None is what suits the machine.
        local_world_size: Processes that train on this machine, which share its cores.
        quiet: Whether nothing is shown while a data set is read.

    Raises:
        DataError: If the split is empty, inputs and targets are not equally many, or a value is of no use.
    """
    if type(split) is TensorDataset and len(split.tensors) == 2:
        split = (split.tensors[0], split.tensors[1])
    tensors = tensors_of(split, limit, where)
    chosen, reason = _choose(loader, tensors, device)
    if chosen == "dataloader":
        count = count_of(split if tensors is None else tensors[1], limit, where)
        cores = available_cores() // local_world_size
        reading = min(max(cores - 1, 0), MAX_WORKERS) if workers is None else workers
        return StreamedSplit(Reader(split if tensors is None else tensors, task, count, where), device, reading, reason)
    inputs, targets = _read_all(split, task, limit, where, quiet=quiet) if tensors is None else tensors
    targets = check_values(inputs, targets, task, where)
    return ResidentSplit(inputs.to(device), targets.to(device), where, reason)


def tensors_of(split: data.Split, limit: int | None, where: str) -> tuple[Tensor, Tensor] | None:
    """The pair of tensors that the split is, or None for a map-style data set.

    Raises:
        DataError: If it is neither.
    """
    if isinstance(split, tuple | list):
        given, split = split, tuple(_from_array(part, where) for part in split)
        if len(split) != 2 or not all(isinstance(part, Tensor) for part in split):
            parts = ", ".join(type(part).__name__ for part in split[:3])
            raise DataError(
                f"{where}: it must be a pair of tensors (inputs, targets), or a map-style data set of pairs; it is a "
                f"{type(given).__name__} of {len(split)} ({parts}{', ...' if len(split) > 3 else ''})"
            )
        inputs, targets = split
        if not inputs.ndim or not targets.ndim:
            raise DataError(f"{where}: inputs and targets have a dimension for the samples; a number alone has none")
        if len(inputs) != len(targets):
            raise DataError(f"{where}: {len(inputs)} inputs, but {len(targets)} targets")
        for part in (inputs, targets):
            if part.layout is not torch.strided:
                raise DataError(f"{where}: the layout {part.layout} is not supported; to_dense() helps")
        count_of(targets, limit, where)
        return inputs[:limit], targets[:limit]
    if not (hasattr(split, "__getitem__") and hasattr(split, "__len__")):
        raise DataError(
            f"{where}: {type(split).__name__} is not a map-style data set; it needs __getitem__ and __len__"
        )
    return None


def _from_array(part: Any, where: str) -> Any:
    """A numpy array as a tensor; the run's own, since an array may be read-only."""
    if not isinstance(part, np.ndarray):
        return part
    try:
        # torch takes neither negative strides nor foreign orders of bytes.
        return torch.tensor(np.ascontiguousarray(part.astype(part.dtype.newbyteorder("="), copy=False)))
    except TypeError as error:
        raise DataError(f"{where}: an array of {part.dtype} is not numbers that torch has: {error}") from error


def count_of(samples: Any, limit: int | None, where: str) -> int:
    """The number of samples, at most the limit.

    Raises:
        DataError: If there are none, or the data set does not tell.
    """
    try:
        count = len(samples)
    except BaseException as error:  # of a data set's own __len__
        if is_from_outside(error):
            raise
        raise DataError(f"{where}: its number of samples cannot be told: {describe_error(error)}") from error
    if count == 0:
        raise DataError(f"{where}: it has no samples")
    return min(count, limit or count)


def _choose(loader: Loader, tensors: tuple[Tensor, Tensor] | None, device: torch.device) -> tuple[str, str]:
    """`resident` or `dataloader`, and why."""
    if loader != "auto":
        return loader, "as requested"
    if tensors is None:
        return "dataloader", "its samples are read one by one and may differ each time"
    if device.type == "cpu":
        return "resident", "its tensors are in memory already"
    needed, free = sum(part.nbytes for part in tensors), _free_memory(device)
    if free is not None and needed > MEMORY_SHARE * free:
        return "dataloader", f"{needed / 2**30:.1f} GiB, more than half of the {free / 2**30:.1f} GiB free on {device}"
    return "resident", f"{needed / 2**30:.1f} GiB fit into the memory of {device}"


def _free_memory(device: torch.device) -> int | None:
    """Bytes that a device has free, or None where it does not say."""
    mem_get_info = getattr(getattr(torch, device.type, None), "mem_get_info", None)
    return None if mem_get_info is None else int(mem_get_info(device)[0])


def _read_all(split: data.Split, task: Task, limit: int | None, where: str, *, quiet: bool) -> tuple[Tensor, Tensor]:
    """Reads each sample once, into tensors that are there from the beginning: the memory of one copy."""
    count = count_of(split, limit, where)
    reader = Reader(split, task, count, where)
    seeds = sample_seeds(0, 0, count).tolist()
    inputs, targets = (part.new_empty((count, *part.shape[1:])) for part in reader.read([0], seeds[:1]))
    with Counter(count, f"reading {where}", quiet=quiet) as counter:
        for first in range(0, count, READ_AT_ONCE):
            last = min(first + READ_AT_ONCE, count)
            some_inputs, some_targets = reader.read(range(first, last), seeds[first:last])
            inputs[first:last], targets[first:last] = some_inputs, some_targets
            counter.add(last - first)
    return inputs, targets
