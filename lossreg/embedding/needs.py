"""What an optimizer needs of the loop of a host; refused by name where the host does not do it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import torch
from torch import nn

from lossreg.errors import ConfigError, LossregError
from lossreg.training.optim.needs import Needs, declared_needs
from lossreg.training.optim.optimizer import OptimizerPlan, makes
from lossreg.training.optim.param_groups import OptimizerGroup
from lossreg.training.optim.probe import find_needs, plan_alone

if TYPE_CHECKING:
    from lossreg.embedding.host_parts import HostParts
    from lossreg.training.choice import Choice


def needs_of(choice: Choice, runtime: Mapping[str, Any]) -> Needs:
    """What an optimizer declares, and what a trial finds of the rest; one that is built declares nothing.

    Args:
        choice: The optimizer.
        runtime: Runtime name -> value.
    """
    if choice.resolved is not None:
        plan = plan_alone(choice.resolved, runtime)
    elif makes(choice.given, torch.optim.Optimizer):
        group = OptimizerGroup({}, [*nn.Linear(3, 2, bias=False).parameters()], ("weight",))
        plan = OptimizerPlan(choice, [group], False, {})
    else:
        return declared_needs(None)
    try:
        return find_needs(plan, torch.device("cpu")).needs
    except LossregError:
        return plan.needs  # it cannot step on the weights of the trial; the model's show more


def check_needs(parts: HostParts, host: str, *, closures: bool, modes: bool = False) -> None:
    """Checks that a host's loop gives the optimizer what its step needs.

    Args:
        parts: The parts.
        host: The host in an error message.
        closures: Whether it calls `optimizer.step(closure)`.
        modes: Whether it calls `optimizer.train()` and `optimizer.eval()`.

    Raises:
        ConfigError: That names the optimizer and what it needs.
    """
    needs, optimizer = parts.needs, parts.texts["optimizer"]
    if needs.create_graph:
        what = "differentiates gradients (create_graph)"
    elif needs.modes and not modes:
        what = "switches between the weights that it trains and those that are evaluated (train() and eval())"
    elif needs.gradients:
        what = "takes a closure after the gradients are there"
    elif needs.closure and not closures:
        what = "computes the loss again in its steps (closure)"
    else:
        return
    raise ConfigError(
        f"the optimizer {optimizer} {what}, which {host} does not do; name another one, or train with lossreg.run or a "
        "loop of your own",
        setting="optimizer",
    )


def check_closure_settings(parts: HostParts, host: str, *, accumulated: int, scaled: bool) -> None:
    """Checks that a host whose steps take a closure is not set to what a loss that is computed again does not allow.

    Args:
        parts: The parts.
        host: The host in an error message.
        accumulated: How many batches the host accumulates for a step.
        scaled: Whether a gradient scaler takes the steps.

    Raises:
        ConfigError: That names the optimizer and the setting.
    """
    needs, optimizer = parts.needs, parts.texts["optimizer"]
    if not (needs.closure or needs.create_graph):
        return
    if scaled:
        does = "computes the loss again in its steps (closure)" if needs.closure else "differentiates gradients"
        raise ConfigError(
            f"the optimizer {optimizer} {does}, which the gradient scaler of {host} does not support; train in "
            "bfloat16 or float32",
            setting="optimizer",
        )
    if needs.closure and accumulated > 1:
        raise ConfigError(
            f"the optimizer {optimizer} computes the loss again in its steps (closure), and {host} would do so for the "
            f"last of {accumulated} accumulated batches alone; accumulate none",
            setting="optimizer",
        )
