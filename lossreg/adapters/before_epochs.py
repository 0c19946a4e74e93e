"""A schedule for trainers that step it before each epoch: nnU-Net and Ultralytics. Needs neither of them.

They call `scheduler.step()` before the first epoch, too, with or without the number of the epoch, and keep no state of
it: a training that goes on makes a new one, for an optimizer whose rates are those of its checkpoint.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from lossreg.embedding.arguments import check_given, check_optimizer, check_parts
from lossreg.errors import ConfigError

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.embedding.host_parts import HostParts


class BeforeEpochs:
    """A schedule of parts that is stepped before each epoch.

    Args:
        parts: Of `lossreg.parts`, which know `epochs`.
        optimizer: What `parts.optimizer` gave.

    Attributes:
        last_epoch: The epoch whose rate the optimizer has, counted from 0; -1 before the first. Setting it says which
            one the next call of `step` is for.

    Raises:
        LossregError: If the schedule cannot be built, counts steps, or follows a metric.

    Example:
        >>> import lossreg, torch
        >>> parts = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler="step_lr(step_size=1)", epochs=3)
        >>> optimizer = parts.optimizer(torch.nn.Linear(1, 1))
        >>> scheduler, rates = BeforeEpochs(parts, optimizer), []
        >>> for epoch in range(3):
        ...     scheduler.step()
        ...     rates += scheduler.get_last_lr()
        ...     optimizer.step()
        >>> [round(rate, 6) for rate in rates]
        [1.0, 0.1, 0.01]
    """

    def __init__(self, parts: HostParts, optimizer: Optimizer) -> None:
        check_parts(parts, "BeforeEpochs(parts, optimizer)")
        check_optimizer(optimizer, "BeforeEpochs(parts, optimizer)")
        if parts.schedules_rates and (parts.interval == "step" or parts.monitor is not None):
            what = "counts steps" if parts.monitor is None else f"follows {parts.monitor}"
            raise ConfigError(
                f"the scheduler {parts.texts.get('scheduler', 'of an optimizer')} {what}, and the trainer steps it "
                "before each epoch; name another one, or write lossreg.parts(..., scheduler_interval='epoch')"
            )
        self.optimizer = optimizer
        self.last_epoch = -1
        self._scheduler = parts.scheduler(optimizer, each="epoch")
        if self._scheduler is not None:
            self._scheduler.checks_order = False  # a training that goes on steps it to where it was

    def step(self, epoch: int | None = None) -> None:
        """Sets the rates of the next epoch.

        Args:
            epoch: Its number, counted from 0; None is the one behind the last.

        Raises:
            ConfigError: If it is no number of an epoch.
        """
        is_number = epoch is None or (isinstance(epoch, int) and epoch >= 0)
        check_given(is_number, epoch, "BeforeEpochs.step(epoch)", "epoch is its number, counted from 0, or None")
        self.last_epoch = self.last_epoch + 1 if epoch is None else epoch
        scheduler = self._scheduler
        if scheduler is None:
            return
        if scheduler.last_epoch == 0 and self.last_epoch > 1:  # it goes on, and a checkpoint had later rates
            for group in self.optimizer.param_groups:
                group["lr"] = group.get("initial_lr", group["lr"])
        while scheduler.last_epoch < self.last_epoch:
            scheduler.step()

    def get_last_lr(self) -> list[Any]:
        """The rate of each parameter group."""
        return [group["lr"] for group in self.optimizer.param_groups]
