"""The processes that train together: those that torchrun, mpirun or srun started, or this one alone."""

from __future__ import annotations

import atexit
import contextlib
import gc
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from typing import Any, TypeVar

import torch
import torch.distributed as dist
from torch import Tensor, nn

from lossreg.errors import ConfigError, LossregError, RunFailedError
from lossreg.training.hardware.launcher import find_launch, find_local
from lossreg.training.hardware.meeting import EndedError, store_of_this_start

T = TypeVar("T")


class Processes:
    """The processes of one run. Each method is called by all of them, in the same order.

    Attributes:
        rank: This one, from 0; rank 0 keeps the record and speaks.
        world_size: How many there are.
        local_rank: This one among those of its machine.
        local_world_size: How many its machine has.
    """

    def __init__(self, rank: int = 0, world_size: int = 1, local_rank: int = 0, local_world_size: int = 1) -> None:
        self.rank = rank
        self.world_size = world_size
        self.local_rank = local_rank
        self.local_world_size = local_world_size
        self._shared: list[BaseException] = []  # errors that all processes know of

    @classmethod
    def join(cls, blocking: Callable[[], AbstractContextManager[None]] = contextlib.nullcontext) -> Processes:
        """Meets the processes that were started together, or those of the group that a program has made.

        The group that is made here lasts as long as the process, so that it can train again.

        Args:
            blocking: Makes a block for calls during which Python sees no signals.

        Raises:
            ConfigError: If they cannot meet.
        """
        if dist.is_available() and dist.is_initialized():
            rank, world_size = dist.get_rank(), dist.get_world_size()
            return cls(rank, world_size, *find_local(rank, world_size))
        launch = find_launch()
        if launch is None:
            return cls()
        if not dist.is_available():
            raise ConfigError("this torch is built without torch.distributed, which several processes need")
        try:
            store = store_of_this_start(launch, blocking)
            with blocking():  # gloo for tensors on the CPU, and what the device has for others
                dist.init_process_group(rank=launch.rank, world_size=launch.world_size, store=store)
        except (RuntimeError, ValueError) as error:
            refusal = ConfigError(f"the {launch.world_size} processes that were started together cannot meet: {error}")
            refusal.rank = launch.rank if isinstance(error, EndedError) else None  # no other may be left to say it
            raise refusal from error
        atexit.register(_leave)
        return cls(*launch)

    @property
    def is_main(self) -> bool:
        """Whether this process keeps the record and speaks."""
        return self.rank == 0

    def all_reduce(self, tensor: Tensor) -> Tensor:
        """Adds up a tensor over all processes, in place, and returns it."""
        if self.world_size > 1:
            dist.all_reduce(tensor)
        return tensor

    def all_gather(self, tensor: Tensor) -> list[Tensor]:
        """The tensors of all processes, which are of one shape and dtype, in the order of their ranks."""
        if self.world_size == 1:
            return [tensor]
        held = [torch.empty_like(tensor) for _ in range(self.world_size)]
        dist.all_gather(held, tensor)
        return held

    def all_reduce_greatest(self, tensor: Tensor) -> Tensor:
        """The greatest values over all processes, in place, and returns them; of a small tensor on the CPU."""
        if self.world_size > 1:
            moved = tensor.to(_reachable())
            dist.all_reduce(moved, op=dist.ReduceOp.MAX)
            tensor.copy_(moved)
        return tensor

    def gather_objects(self, value: T) -> list[T]:
        """What each process has, in the order of their ranks."""
        if self.world_size == 1:
            return [value]
        held: list[Any] = [None] * self.world_size
        dist.all_gather_object(held, value)
        return held

    def broadcast_object(self, value: T) -> T:
        """What the main process has."""
        if self.world_size == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held)
        return held[0]

    def broadcast_buffers(self, module: nn.Module) -> None:
        """Gives all processes the main one's buffers, such as the statistics of batch normalisation."""
        if self.world_size > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    @contextlib.contextmanager
    def fail_together(self) -> Iterator[None]:
        """A block that ends in all processes at the same time, and fails in all of them if it fails in one.

        Raises:
            LossregError: With the message of the process that failed: a RunFailedError if it had one, else a
                ConfigError.
        """
        try:
            yield
        except Exception as error:
            if not any(error is shared for shared in self._shared):
                self._share(error)
            raise
        self._share(None)

    @contextlib.contextmanager
    def local_main_first(self) -> Iterator[None]:
        """A block, inside of `fail_together`, that the first process of each machine ends before others begin it."""
        is_first = self.local_rank == 0
        if not is_first:
            self._share(None)
        try:
            yield
        except Exception as error:
            if is_first:
                self._share(error)
            raise
        if is_first:
            self._share(None)

    def check_equal(self, value: T, what: str) -> None:
        """Makes sure, inside of `fail_together`, that all processes have the same.

        Raises:
            ConfigError: If they have not.
        """
        values = self._share(None, value)
        if any(other != values[0] for other in values):
            error = ConfigError(f"{what} differ among the processes: {', '.join(map(str, values))}")
            self._shared.append(error)  # all of them raise it
            raise error

    def check_together(self, value: T, check: Callable[[list[T | None]], None]) -> None:
        """Checks, inside of `fail_together`, what the processes have; all of them find the same.

        Raises:
            LossregError: If the check does.
        """
        try:
            check(self._share(None, value))
        except LossregError as error:
            self._shared.append(error)
            raise

    def _share(self, error: Exception | None, value: T | None = None) -> list[T | None]:
        """Exchanges values and errors; an error of another process is raised here, too."""
        if self.world_size == 1:
            return [value]
        if error is not None:
            self._shared.append(error)
        message = None if error is None else str(error) or type(error).__name__
        during = (error.epoch, error.step) if isinstance(error, RunFailedError) else None
        said: list[tuple[str | None, tuple[int, int] | None, T | None]] = [(None, None, None)] * self.world_size
        dist.all_gather_object(said, (message, during, value))
        for rank, (message, during, _) in enumerate(said):
            if message is not None and error is None:
                text = f"rank {rank}: {message}"
                other = RunFailedError(text, epoch=during[0], step=during[1]) if during else ConfigError(text)
                self._shared.append(other)
                raise other
        return [value for _, _, value in said]

    def explain(self, error: BaseException, epoch: int, step: int) -> BaseException:
        """An error of training as a person needs it: where another process ended, that this one lost it."""
        if self.world_size == 1:
            return error
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            return RunFailedError(
                f"another process of this run ended at epoch {epoch}, step {step}; what it wrote says why",
                epoch=epoch,
                step=step,
            )
        if isinstance(error, LossregError) and not any(error is shared for shared in self._shared):
            error.rank = self.rank  # the others may not know of it
        return error


def data_parallel(module: nn.Module, device: torch.device, *, find_unused: bool) -> nn.parallel.DistributedDataParallel:
    """The module with gradients that are averaged over the processes.

    Args:
        module: What computes the loss.
        device: Where it computes.
        find_unused: Whether some parameters may get no gradient.
    """
    return nn.parallel.DistributedDataParallel(
        module,
        device_ids=None if device.type == "cpu" else [device],
        gradient_as_bucket_view=True,
        find_unused_parameters=find_unused,
    )


def _reachable() -> torch.device:
    """Where the group can exchange a small tensor: on the CPU if it can, so that nothing waits for a device."""
    if "cpu" in str(dist.get_backend_config()):
        return torch.device("cpu")
    return torch.accelerator.current_accelerator() or torch.device("cpu")


def set_current_device(device: torch.device) -> None:
    """Makes a device the current one of its type, where collectives look for it."""
    if device.type != "cpu" and device.index is not None:
        torch.accelerator.set_device_index(device)


def _leave() -> None:
    gc.collect()  # what still holds the group would keep its threads alive
    if dist.is_initialized():
        dist.destroy_process_group()
