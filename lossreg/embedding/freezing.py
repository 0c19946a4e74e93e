"""Freezing parameters for a loop that knows nothing of it."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import TYPE_CHECKING

from torch import nn

from lossreg.embedding.evaluated import keep_evaluated, leave_modes
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
            f"unfreeze ({spec.unfreeze}) goes by the epochs of a run of lossreg; in your own loop, leave it and freeze "
            "out, call requires_grad_(False) on the parameters after parts.optimizer, and in their epoch "
            "requires_grad_(True)",
            setting="unfreeze",
        )
    return plan_freezing(spec, objective, model)


def keep_modes(spec: RunSpec, objective: Objective) -> None:
    """Has modules that are frozen as a whole stay in evaluation mode, or leaves the mode to the loop, as is set."""
    if spec.freeze is None:
        return
    if spec.frozen_mode == "eval":
        keep_evaluated(objective.frozen)
    else:
        leave_modes(objective.model.modules())


@contextlib.contextmanager
def not_frozen_in_parallel(wrapped: object, model: nn.Module, way_out: str) -> Iterator[None]:
    """Checks that a block freezes nothing that DistributedDataParallel waits for: it would fail in the second step.

    Args:
        wrapped: What may be a DistributedDataParallel.
        model: The model in it.
        way_out: What to do, as the end of the message.

    Raises:
        ConfigError: If it does; the parameters are as they were.
    """
    if not isinstance(wrapped, nn.parallel.DistributedDataParallel) or wrapped.find_unused_parameters:
        yield
        return
    trained = [(name, one) for name, one in model.named_parameters() if one.requires_grad]
    yield
    frozen = [name for name, one in trained if not one.requires_grad]
    if not frozen:
        return
    for _, one in trained:
        one.requires_grad_(True)
    more = f" and {len(frozen) - 1} more" if len(frozen) > 1 else ""
    raise ConfigError(
        f"freeze names {frozen[0]}{more}, for whose gradient the DistributedDataParallel around the model waits, which "
        f"was made before: {way_out}",
        setting="freeze",
    )
