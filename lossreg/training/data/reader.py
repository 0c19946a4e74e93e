"""Reads samples of a map-style data set, in this process or in a data loader's workers."""

from __future__ import annotations

import contextlib
import traceback
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.utils.data import Dataset, Subset, TensorDataset, default_collate, get_worker_info

from lossreg.errors import DataError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.training.seeds import kept_generators, seed_sample

if TYPE_CHECKING:
    from lossreg.data import Split, Task

Batch = tuple[Tensor, Tensor]
Key = tuple[Sequence[int], Sequence[int]]  # indices of samples, and the seed of each


class Part(Subset[Any]):
    """Some samples of a map-style data set; errors name each by its index there."""


class Reader(Dataset["Batch | DataError"]):
    """Reads whole batches: its items are asked for by indices of samples, with a seed for each.

    A sample is read with Python's, numpy's and torch's generators seeded, so what random transforms make of it depends
    on its seed alone, not on the worker or on what was read before. What is wrong with a sample is returned, not
    raised, for a data loader would bury its message in a traceback.

    Args:
        split: A pair of tensors, or a map-style data set of pairs.
        task: Decides the type of the targets.
        count: Only the first N samples.
        where: The split in an error message: `data set digits, split train`.
    """

    def __init__(self, split: Split, task: Task, count: int, where: str) -> None:
        self.samples: Any = TensorDataset(*split) if isinstance(split, tuple) else split
        self.task = task
        self.count = count
        self.where = where
        self.classes: int | None = None
        self.ignored: int | None = None
        self._form: str | None = None  # of the first sample that is read

    def __len__(self) -> int:
        return self.count

    def expect(self, classes: int | None, ignored: int | None) -> None:
        """Has class indices checked as they are read.

        Args:
            classes: Targets are 0 to `classes - 1`; None is any.
            ignored: A further target that is allowed.
        """
        self.classes, self.ignored = classes, ignored

    def __getitem__(self, key: Key) -> Batch | DataError:
        # A worker has nothing else to draw numbers for; the process that trains has its dropout.
        with kept_generators() if get_worker_info() is None else contextlib.nullcontext():
            try:
                return self._batch(*key)
            except DataError as error:
                return error

    def read(self, indices: Sequence[int], seeds: Sequence[int]) -> Batch:
        """Reads samples in this process.

        Raises:
            DataError: If a sample is not a pair of tensors, or is not like the others.
        """
        batch = self[indices, seeds]
        if isinstance(batch, DataError):
            raise batch
        return batch

    def _batch(self, indices: Sequence[int], seeds: Sequence[int]) -> Batch:
        pairs = [self._sample(int(index), int(seed)) for index, seed in zip(indices, seeds, strict=True)]
        for index, pair in zip(indices, pairs, strict=True):
            form = _form(pair)
            self._form = self._form or form
            if form != self._form:
                which = self._named(index)
                raise DataError(f"{self.where}: samples are not alike: {which} is {form}, another {self._form}")
        inputs, targets = default_collate(pairs)
        try:
            return inputs, self._checked(inputs, targets)
        except DataError:
            for index, (one, target) in zip(indices, pairs, strict=True):  # which one it is
                self._checked(one, target, f", {self._named(index)}")
            raise

    def _checked(self, inputs: Tensor, targets: Tensor, which: str = "") -> Tensor:
        checked = check_values(inputs, targets, self.task, self.where + which)
        if self.classes is not None:
            check_classes(checked, self.classes, self.ignored, self.where + which)
        return checked

    def _named(self, index: int) -> str:
        return f"sample {self.samples.indices[index] if isinstance(self.samples, Part) else index}"

    def _sample(self, index: int, seed: int) -> tuple[Tensor, Tensor]:
        seed_sample(seed)
        try:
            sample = self.samples[index]
        except BaseException as error:  # also StopIteration, which a loop would take for the end
            if is_from_outside(error):
                raise
            failure = DataError(f"{self.where}: {self._named(index)} cannot be read: {describe_error(error)}")
            failure.add_note(traceback.format_exc())  # its author needs it, and a worker's would be lost
            raise failure from error
        if not isinstance(sample, tuple | list) or len(sample) != 2:
            raise DataError(f"{self.where}: {self._named(index)} is a {_kind(sample)}, not a pair (input, target)")
        try:
            return torch.as_tensor(sample[0]), torch.as_tensor(sample[1])
        except (TypeError, ValueError, RuntimeError) as error:
            kinds = " and ".join(_kind(part) for part in sample)
            raise DataError(
                f"{self.where}: {self._named(index)} is a pair of {kinds}, which are not tensors ({error}); "
                "a transform such as torchvision.transforms.ToTensor makes them"
            ) from error


def _form(pair: tuple[Tensor, Tensor]) -> str:
    return " with target ".join(f"{tuple(part.shape)} of {part.dtype}" for part in pair)


def _kind(value: object) -> str:
    return f"{type(value).__name__} of {len(value)}" if isinstance(value, tuple | list) else type(value).__name__


def check_values(inputs: Tensor, targets: Tensor, task: Task, where: str) -> Tensor:
    """Checks what is read, and returns the targets in the type that losses take.

    Raises:
        DataError: If a number is not finite, or the targets have the wrong type for the task.
    """
    for what, values in (("inputs", inputs), ("targets", targets)):
        # The extremes are not finite if any number is not; isfinite() would take as much memory as the data.
        if values.is_floating_point() and values.numel() and not all(map(torch.isfinite, torch.aminmax(values))):
            raise DataError(f"{where}: its {what} hold NaN or infinity")
    if task == "regression":
        if not targets.is_floating_point():
            raise DataError(f"{where}: the targets of a regression are floating point, not {targets.dtype}")
        return targets
    if task == "multilabel":
        return _labels(targets, where)
    if targets.is_floating_point() or targets.is_complex():
        raise DataError(f"{where}: the targets of a {task} are class indices (int64), not {targets.dtype}")
    return targets.long()


def _labels(targets: Tensor, where: str) -> Tensor:
    """Targets that are 0 or 1 for each class, in floating point, which is what losses take."""
    if not bool(((targets == 0) | (targets == 1)).all()):
        wrong = targets[(targets != 0) & (targets != 1)].flatten()[0].item()
        raise DataError(f"{where}: the targets of a multilabel classification are 0 or 1 for each class, not {wrong:g}")
    return targets.to(torch.get_default_dtype())


def check_classes(targets: Tensor, classes: int, ignored: int | None, where: str) -> None:
    """Checks that each target is one of the model's classes; else it would be an assertion inside a CUDA kernel.

    Raises:
        DataError: If one is not, and is not the ignored index either.
    """
    counted = targets if ignored is None else targets[targets != ignored]
    if counted.numel() == 0:
        return
    lowest, highest = (int(bound) for bound in torch.aminmax(counted))
    if lowest < 0 or highest >= classes:
        hint = "" if ignored is None else f"; targets that do not count are the loss's ignore_index, {ignored}"
        raise DataError(
            f"{where} has the class index {lowest if lowest < 0 else highest}, but the model's classes are 0 to "
            f"{classes - 1}{hint}"
        )
