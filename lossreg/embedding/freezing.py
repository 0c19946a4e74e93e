"""Freezing parameters for a loop that knows nothing of it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from torch import nn

from lossreg.errors import ConfigError
from lossreg.training.optim.freezing import Freezing, plan_freezing

if TYPE_CHECKING:
    from lossreg.run_spec import RunSpec
    from lossreg.training.loss.objective import Objective


def plan_frozen(spec: RunSpec, objective: Objective, model: str) -> Freezing:
    """Freezes what the settings name.

    Args:
        spec: The settings.
        objective: Model and loss.
        model: The model in an error message.

    Raises:
        ConfigError: If a pattern matches nothing, or parameters are to be unfrozen later.
    """
    if spec.unfreeze is not None:
        raise ConfigError(
            f"unfreeze ({spec.unfreeze}) goes by the epochs of a run of lossreg; in your own loop, call "
            "requires_grad_(True) on the parameters in their epoch",
            setting="unfreeze",
        )
    return plan_freezing(spec, objective, model)


def keep_evaluated(objective: Objective) -> None:
    """Has modules that are frozen as a whole stay in evaluation mode: loops call `model.train()` before each epoch."""
    for module in objective.frozen:
        if evaluated not in module._forward_pre_hooks.values():
            module.register_forward_pre_hook(evaluated)


def evaluated(module: nn.Module, inputs: Any) -> None:
    """A forward hook that keeps a frozen module in evaluation mode."""
    del inputs
    module.training = False
