"""The order in which an epoch takes its samples."""

from __future__ import annotations

import torch
from torch import Tensor

from lossreg.training.seeds import order_generator


def sample_order(seed: int, epoch: int, count: int) -> Tensor:
    """The order in which an epoch takes its samples: a function of seed and epoch, and of nothing else.

    It is `numpy.random.default_rng([seed, epoch]).permutation(count)`, so that any process, and any other program, can
    have it without running what came before.

    Returns:
        Indices `(count,)`, int64, on the CPU.

    Example:
        >>> sample_order(0, 3, 5).tolist() == sample_order(0, 3, 5).tolist()
        True
    """
    return torch.from_numpy(order_generator(seed, epoch).permutation(count))
