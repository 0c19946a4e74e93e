"""A split as resident tensors, and the order in which its samples come."""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs
import numpy as np
import torch
from torch import Tensor

from lossreg.errors import DataError

if TYPE_CHECKING:
    from lossreg.data import Split, Task


@attrs.frozen(eq=False)
class Samples:
    """All samples of a split, on the device.

    Attributes:
        inputs: `(N, *in_shape)`.
        targets: `(N, *)`.
    """

    inputs: Tensor
    targets: Tensor

    def __len__(self) -> int:
        return len(self.inputs)

    def laid_out(self, memory_format: torch.memory_format) -> Samples:
        """The same samples with the inputs `(N, C, H, W)` in another layout."""
        return Samples(self.inputs.contiguous(memory_format=memory_format), self.targets)

    def batches(self, batch_size: int, order: Tensor | None = None) -> Iterator[tuple[Tensor, Tensor]]:
        """Cuts the samples into batches; the last may be smaller.

        Args:
            batch_size: Samples in a batch.
            order: Indices `(N,)`, int64, on the samples' device; None is as they lie.
        """
        for first in range(0, len(self), batch_size):
            if order is None:
                yield self.inputs[first : first + batch_size], self.targets[first : first + batch_size]
            else:
                chosen = order[first : first + batch_size]
                yield self.inputs[chosen], self.targets[chosen]


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


def load_samples(split: Split, task: Task, limit: int | None, device: torch.device, where: str) -> Samples:
    """Brings a split onto the device.

    Args:
        split: A pair of tensors, or a map-style data set of pairs.
        task: Decides the type of the targets.
        limit: Only the first so many samples; None is all.
        device: Where the tensors shall be.
        where: The split in an error message: `data set digits, split train`.

    Raises:
        DataError: If the split is empty, inputs and targets are not equally many, or the targets have the wrong type.
    """
    inputs, targets = _pair(split, limit, where)
    if len(inputs) != len(targets):
        raise DataError(f"{where}: {len(inputs)} inputs, but {len(targets)} targets")
    if len(inputs) == 0:
        raise DataError(f"{where}: there is no sample in it")
    for what, values in (("inputs", inputs), ("targets", targets)):
        if values.is_floating_point() and not values.isfinite().all():
            raise DataError(f"{where}: its {what} hold NaN or infinity")
    if task == "regression":
        if not targets.is_floating_point():
            raise DataError(f"{where}: the targets of a regression are floating point, not {targets.dtype}")
    elif targets.is_floating_point() or targets.is_complex():
        raise DataError(f"{where}: the targets of a {task} are class indices (int64), not {targets.dtype}")
    else:
        targets = targets.long()
    return Samples(inputs.to(device), targets.to(device))


def _pair(split: Split, limit: int | None, where: str) -> tuple[Tensor, Tensor]:
    if isinstance(split, tuple | list):
        if len(split) != 2 or not all(isinstance(part, Tensor) for part in split):
            raise DataError(f"{where}: it is a pair of tensors (inputs, targets), or a map-style data set of pairs")
        inputs, targets = split
        return inputs[:limit], targets[:limit]
    if not (hasattr(split, "__getitem__") and hasattr(split, "__len__")):
        raise DataError(f"{where}: {type(split).__name__} is no map-style data set; it needs __getitem__ and __len__")
    count = min(len(split), limit or len(split))
    if count == 0:
        raise DataError(f"{where}: there is no sample in it")
    try:
        pairs: list[tuple[Any, Any]] = [split[index] for index in range(count)]
        inputs = torch.stack([torch.as_tensor(one) for one, _ in pairs])
        targets = torch.stack([torch.as_tensor(one) for _, one in pairs])
    except (TypeError, ValueError, RuntimeError) as error:
        raise DataError(f"{where}: its samples are not pairs of tensors of one shape: {error}") from error
    return inputs, targets
