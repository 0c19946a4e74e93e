"""The state of a run, in one place."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import attrs
import torch

from lossreg.errors import ConfigError
from lossreg.run_spec import RunSpec

if TYPE_CHECKING:
    from lossreg.training.assembly import Assembly
    from lossreg.training.contract import AdaptedLoss


@attrs.define(eq=False)
class Run:
    """A run as hooks and observers see it.

    Attributes:
        spec: What decides the run, with full ids.
        directory: The run directory.
        assembly: The parts: model, loss, optimizer, scheduler, data.
        epoch: The epoch under way, from 0.
        step: Steps of the optimizer that are done.
        stop_reason: Why the run shall end early, or None.
    """

    spec: RunSpec
    directory: Path
    assembly: Assembly
    epoch: int = 0
    step: int = 0
    stop_reason: str | None = None

    @property
    def device(self) -> torch.device:
        """Where the run computes."""
        return self.assembly.device

    @property
    def model(self) -> torch.nn.Module:
        """The model under training."""
        return self.assembly.model

    @property
    def loss(self) -> AdaptedLoss:
        """The loss; its own weights, if it has any, are trained with the model's."""
        return self.assembly.loss

    @property
    def optimizer(self) -> torch.optim.Optimizer:
        """The optimizer."""
        return self.assembly.optimizer

    def request_stop(self, reason: str) -> None:
        """Ends the run cleanly: evaluated, recorded, with exit code 0.

        It acts at the next logged step or the end of the epoch, whichever comes first.

        Args:
            reason: One line for the record.

        Raises:
            ConfigError: If it is no line of text.
        """
        if not isinstance(reason, str) or not reason.strip() or len(reason.splitlines()) > 1:
            raise ConfigError(f"request_stop takes the reason, one line of text, not {reason!r}")
        self.stop_reason = reason
