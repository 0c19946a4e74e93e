"""The processes that train together: those that torchrun started, or this one alone."""

from __future__ import annotations

import atexit
import contextlib
import gc
import os
from collections.abc import Iterator
from typing import TypeVar

import torch
import torch.distributed as dist
from torch import Tensor

from lossreg.errors import ConfigError, LossregError, RunFailedError

T = TypeVar("T")


class Processes:
    """The processes of one run. Each method is called by all of them, in the same order.

    Attributes:
        rank: This one, from 0; rank 0 keeps the record and speaks.
        count: How many there are.
        local_rank: This one among those of its machine.
        local_count: How many its machine has.
    """

    def __init__(self, rank: int = 0, count: int = 1, local_rank: int = 0, local_count: int = 1) -> None:
        self.rank = rank
        self.count = count
        self.local_rank = local_rank
        self.local_count = local_count
        self._told: list[BaseException] = []

    @classmethod
    def join(cls) -> Processes:
        """Meets the processes that torchrun started, or those of the group that a program has made.

        The group that is made here lasts as long as the process, so that it can train again.

        Raises:
            ConfigError: If they cannot meet.
        """
        if not dist.is_available() or not (dist.is_initialized() or dist.is_torchelastic_launched()):
            return cls()
        if not dist.is_initialized():
            try:
                dist.init_process_group()  # gloo for tensors on the CPU, and what the device has for others
            except (RuntimeError, ValueError) as error:
                raise ConfigError(f"the processes that torchrun started cannot meet: {error}") from error
            atexit.register(_leave)
        local_rank = int(os.environ.get("LOCAL_RANK", dist.get_rank()))
        local_count = int(os.environ.get("LOCAL_WORLD_SIZE", dist.get_world_size()))
        return cls(dist.get_rank(), dist.get_world_size(), local_rank, local_count)

    @property
    def leads(self) -> bool:
        """Whether this process keeps the record and speaks."""
        return self.rank == 0

    def sum(self, tensor: Tensor) -> Tensor:
        """Adds up a tensor over all processes, in place, and returns it."""
        if self.count > 1:
            dist.all_reduce(tensor)
        return tensor

    def from_first(self, value: T) -> T:
        """What rank 0 has."""
        if self.count == 1:
            return value
        held = [value]
        dist.broadcast_object_list(held)
        return held[0]

    @contextlib.contextmanager
    def agreeing(self) -> Iterator[None]:
        """A block that fails in all processes if it fails in one.

        Raises:
            ConfigError: With the message of the process that failed.
        """
        try:
            yield
        except Exception as error:
            if not any(error is told for told in self._told):
                self._tell(error)
            raise
        self._tell(None)

    @contextlib.contextmanager
    def first_goes_ahead(self) -> Iterator[None]:
        """A block, inside of `agreeing`, that the first process of each machine ends before the others begin it."""
        first = self.local_rank == 0
        if not first:
            self._tell(None)
        try:
            yield
        except Exception as error:
            if first:
                self._tell(error)
            raise
        if first:
            self._tell(None)

    def compare(self, value: T, what: str) -> None:
        """Makes sure, inside of `agreeing`, that all processes have the same.

        Raises:
            ConfigError: If they have not.
        """
        values = self._tell(None, value)
        if any(other != values[0] for other in values):
            error = ConfigError(f"{what} differ among the processes: {', '.join(map(str, values))}")
            self._told.append(error)  # by all of them
            raise error

    def _tell(self, error: Exception | None, value: T | None = None) -> list[T | None]:
        """Exchanges errors, of which one of another process is raised here, too, and values."""
        if self.count == 1:
            return [value]
        if error is not None:
            self._told.append(error)
        message = None if error is None else str(error) or type(error).__name__
        said: list[tuple[str | None, T | None]] = [(None, None)] * self.count
        dist.all_gather_object(said, (message, value))
        for rank, (message, _) in enumerate(said):
            if message is not None and error is None:
                other = ConfigError(f"rank {rank}: {message}")
                self._told.append(other)
                raise other
        return [value for _, value in said]

    def share_buffers(self, module: torch.nn.Module) -> None:
        """Gives all processes the buffers of rank 0, such as the statistics of batch normalisation."""
        if self.count > 1:
            for buffer in module.buffers():
                dist.broadcast(buffer, src=0)

    def explained(self, error: BaseException, epoch: int, step: int) -> BaseException:
        """An error of training as a person needs it: where another process ended, that this one lost it."""
        if self.count == 1:
            return error
        if isinstance(error, dist.DistError) or (isinstance(error, RuntimeError) and "gloo" in str(error)):
            return RunFailedError(
                f"another process of this run ended at epoch {epoch}, step {step}; what it wrote says why",
                epoch=epoch,
                step=step,
            )
        if isinstance(error, LossregError):
            error.rank = self.rank  # the others may not know of it
        return error


def _leave() -> None:
    gc.collect()  # what still holds the group would keep its threads alive
    if dist.is_initialized():
        dist.destroy_process_group()


def set_current(device: torch.device) -> None:
    """Makes a device the current one of its type, where collectives look for it."""
    if device.type != "cpu" and device.index is not None:
        torch.accelerator.set_device_index(device)
