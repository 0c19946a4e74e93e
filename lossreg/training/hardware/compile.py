"""torch.compile: the objective as compiled code, and whether this machine can compile."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossreg.errors import ConfigError, describe_error


class CompiledObjective:
    """Computes batches of the usual size by compiled code, and others without it.

    The optimizer is not compiled: it reads its learning rate in each step, so a schedule goes on as it does without.

    Args:
        objective: What is compiled; in several processes, a DistributedDataParallel.
        size: Samples of a usual batch; each further size would be compiled anew, and there is one an epoch, the last.
        device: Where it computes.
    """

    def __init__(self, objective: nn.Module, size: int, device: torch.device) -> None:
        self._eager: Any = objective
        # On a GPU in the mode that captures graphs, which spares the start of each kernel.
        mode = "reduce-overhead" if device.type == "cuda" else None
        self._compiled: Callable[[Tensor, Tensor], Tensor] = torch.compile(objective, mode=mode, dynamic=False)
        self._size = size

    def __call__(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch."""
        compute: Callable[[Tensor, Tensor], Tensor] = self._compiled if len(inputs) == self._size else self._eager
        return compute(inputs, targets)

    def no_sync(self) -> contextlib.AbstractContextManager[None]:
        """A block without the exchange of gradients, where the objective has one."""
        blocked: contextlib.AbstractContextManager[None] = self._eager.no_sync()
        return blocked


def check_compiler(device: torch.device) -> None:
    """Compiles a small function, so that a machine that cannot is found before the run.

    Raises:
        ConfigError: If nothing can be compiled here.
    """
    try:
        torch.compile(_doubled, dynamic=False)(torch.zeros(8, device=device))
    except Exception as error:
        raise ConfigError(
            f"compile: torch.compile does not work here ({describe_error(error)}); it needs "
            f"{'a C++ compiler' if device.type == 'cpu' else 'Triton and a C compiler'}"
        ) from error


def _doubled(values: Tensor) -> Tensor:
    return values * 2
