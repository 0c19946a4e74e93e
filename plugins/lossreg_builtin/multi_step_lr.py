"""MultiStepLR that refuses milestones at which it would never do anything."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Integral

from torch.optim import Optimizer, lr_scheduler

from lossreg.errors import ConfigError


class MultiStepLR(lr_scheduler.MultiStepLR):
    """Multiplies the rate by `gamma` at each milestone: `torch.optim.lr_scheduler.MultiStepLR`.

    Torch takes anything as a milestone, and never comes to one that is not a whole number.

    Args:
        optimizer: Whose rates it moves.
        milestones: The epochs, or steps, at which the rate is multiplied.
        gamma: What it is multiplied by.
        last_epoch: The epoch, or step, that was the last one; -1 is none.

    Raises:
        ConfigError: If a milestone is not a whole number from 1 on.
    """

    def __init__(
        self, optimizer: Optimizer, milestones: Sequence[int], gamma: float = 0.1, last_epoch: int = -1
    ) -> None:
        for one in milestones:
            if isinstance(one, bool) or not isinstance(one, Integral) or one < 1:
                raise ConfigError(
                    f"multi_step_lr: a milestone={one!r} is not a whole number from 1 on, of epochs or of steps, such "
                    "as milestones=[10, 15]"
                )
        super().__init__(optimizer, milestones, gamma, last_epoch)
