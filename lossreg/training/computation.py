"""What the loop calls for the loss of a batch: the objective, shared among processes or compiled where wanted."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor, nn

from lossreg.errors import ConfigError
from lossreg.plugins import describe_error

if TYPE_CHECKING:
    from lossreg.training.assembly import Assembly


class Compiled:
    """Computes batches of the usual size by compiled code, and others as they are.

    The optimizer is not compiled: it reads its learning rate in each step, so a schedule goes on as it does without.

    Args:
        objective: What is compiled.
        size: Samples of a usual batch; each further size would be compiled anew, and there is one a epoch, the last.
        mode: Of `torch.compile`.
    """

    def __init__(self, objective: nn.Module, size: int, mode: str | None) -> None:
        self._eager: Any = objective
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


def computation(assembly: Assembly) -> Callable[[Tensor, Tensor], Tensor]:
    """From a batch to its loss.

    Several processes exchange gradients on the way back; all of them call this at the same time.
    """
    objective, device = assembly.objective, assembly.device
    shared: nn.Module = objective
    if assembly.processes.count > 1:
        shared = nn.parallel.DistributedDataParallel(
            objective,
            device_ids=None if device.type == "cpu" else [device],
            gradient_as_bucket_view=True,
            find_unused_parameters=assembly.unused,
        )
    if assembly.spec.compile:
        # On a GPU in the mode that captures graphs, which spares the start of each kernel.
        return Compiled(shared, assembly.cuts.largest, "reduce-overhead" if device.type == "cuda" else None)
    return objective.function() if shared is objective else shared


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
