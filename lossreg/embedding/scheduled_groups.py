"""Groups of an optimizer whose rates a schedule moves already, where a state without a schedule is loaded."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from torch.optim import Optimizer

FIRST_RATE = "initial_lr"  # what torch's schedulers write into each group


def has_schedule(optimizer: Optimizer) -> bool:
    """Whether a schedule was built for an optimizer."""
    return any(FIRST_RATE in group for group in optimizer.param_groups)


def keeping_schedule(optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
    """The state of a training without a schedule, with what a schedule that is built already keeps in the groups.

    Torch puts the groups of a state in place of those that there are, so that the rates of the schedule and its limits
    would be lost.

    Args:
        optimizer: What loads it.
        state_dict: The state.

    Returns:
        A copy; None where the state is of a training with a schedule, or there is none now.
    """
    saved, own = state_dict.get("param_groups"), optimizer.param_groups
    if not isinstance(saved, list) or len(saved) != len(own) or not has_schedule(optimizer):
        return None
    if any(not isinstance(group, dict) or FIRST_RATE in group for group in saved):
        return None
    groups = [{**now, **was, "params": was.get("params"), "lr": now["lr"]} for now, was in zip(own, saved, strict=True)]
    return {**state_dict, "param_groups": groups}
