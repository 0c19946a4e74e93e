"""Whether a state has the groups and the tensors of the optimizer that is to load it, whoever saved it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.embedding.state_said import WAY_OUT
from lossreg.errors import StateError
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.loading import is_state_dict
from lossreg.values import counted

if TYPE_CHECKING:
    from torch.optim import Optimizer

MAX_SHOWN = 6  # numbers in a message

#: What torch's optimizers keep of each parameter, in its shape, once they have stepped; those of this version of torch.
IN_SHAPE: Mapping[str, tuple[str, ...]] = {
    "ASGD": ("ax",), "Adadelta": ("square_avg", "acc_delta"), "Adagrad": ("sum",), "Adam": ("exp_avg", "exp_avg_sq"),
    "AdamW": ("exp_avg", "exp_avg_sq"), "Adamax": ("exp_avg", "exp_inf"), "Muon": ("momentum_buffer",),
    "NAdam": ("exp_avg", "exp_avg_sq"), "RAdam": ("exp_avg", "exp_avg_sq"), "RMSprop": ("square_avg",),
    "Rprop": ("prev", "step_size"), "SGD": ("momentum_buffer",),
}  # fmt: skip
#: Those that go without, and make what is missing.
_WITHOUT = ("Muon", "SGD")


def check_fits(optimizer: Optimizer, state_dict: Mapping[str, Any], patterns: str) -> None:
    """Checks the numbers of groups and parameters, and with torch's own optimizers what is kept of each parameter.

    Torch itself says of the first that they are different, and of the second nothing until the next step.

    Args:
        optimizer: What is to load it.
        state_dict: The state.
        patterns: Those of the parameter groups, for the message; empty if there are none.

    Raises:
        StateError: If they do not fit.
    """
    # A hook that a person has added may yet make it fit.
    if len(optimizer._optimizer_load_state_dict_pre_hooks) > 1:
        return
    missing = [key for key in ("state", "param_groups") if key not in state_dict]
    if missing and not isinstance(optimizer, JointOptimizer):
        raise StateError(
            "the state to load is not that of an optimizer, which optimizer.state_dict() gives: it has no "
            f"{' and no '.join(missing)}",
            where="the optimizer",
        )
    if not is_state_dict(state_dict):
        return
    was, now = ([len(one["params"]) for one in some] for some in (state_dict["param_groups"], optimizer.param_groups))
    if was != now:
        raise _other_groups(was, now, patterns)
    keys = chain.from_iterable(group["params"] for group in state_dict["param_groups"])
    for place, ((member, parameter), key) in enumerate(zip(_parameters(optimizer), keys, strict=True)):
        entry = state_dict["state"].get(key)
        if isinstance(entry, Mapping) and entry:
            _check_entry(type(member), parameter, entry, f"parameter {place} of {sum(now)} (from 0)")


def _parameters(optimizer: Optimizer) -> Iterator[tuple[Optimizer, Tensor]]:
    """All parameters, each with what trains it."""
    for member in optimizer.members if isinstance(optimizer, JointOptimizer) else (optimizer,):
        for group in member.param_groups:
            yield from ((member, parameter) for parameter in group["params"])


def _other_groups(was: Sequence[int], now: Sequence[int], patterns: str) -> StateError:
    """The error of a state whose groups are of other numbers of parameters."""
    if sum(was) == sum(now):
        instead = "sort the parameters by param_groups as they were sorted"
        if len(was) == 1:
            instead = "leave param_groups out"
    else:
        instead = (
            "have the same parameters trained as in the checkpoint (freeze, requires_grad_), and call add_param_group "
            "before the state is loaded for those that were added, and after that for more"
        )
    by = f" (param_groups: {patterns})" if patterns else ""
    return StateError(
        f"the state to load has {_groups(was)}, and this optimizer has {_groups(now)}{by}: {instead}, {WAY_OUT}",
        where="the optimizer",
    )


def _groups(sizes: Sequence[int]) -> str:
    """How many parameters each group has, in words."""
    if not sizes:
        return "no parameter groups"
    if len(sizes) == 1:
        return f"1 parameter group of {counted(sizes[0], 'tensor')}"
    shown = [*map(str, sizes[:MAX_SHOWN]), *(["..."] if len(sizes) > MAX_SHOWN else [])]
    return f"{len(sizes)} parameter groups of {', '.join(shown)} tensors"


def _check_entry(kind: type[Optimizer], parameter: Tensor, entry: Mapping[str, Any], which: str) -> None:
    """Checks what is kept of one parameter."""
    name = kind.__name__
    if name not in IN_SHAPE or kind is not getattr(torch.optim, name, None):  # one that is derived keeps what it likes
        return
    missing = [] if name in _WITHOUT else [key for key in ("step", *IN_SHAPE[name]) if key not in entry]
    if missing:
        raise StateError(
            f"the state to load is that of another optimizer: of {which} it has {', '.join(map(str, entry))}, and "
            f"{name} needs {', '.join(missing)}, too: name the optimizer of the checkpoint, {WAY_OUT}",
            where="the optimizer",
        )
    if type(parameter) is not Parameter or not parameter.numel():  # a shard, or one whose values are elsewhere
        return
    for key in IN_SHAPE[name]:
        value = entry.get(key)
        if type(value) is Tensor and value.shape != parameter.shape:
            raise StateError(
                f"the state to load is that of other parameters: of {which} it has {key} of the shape "
                f"{tuple(value.shape)}, and the parameter has {tuple(parameter.shape)}: build the model of the "
                f"checkpoint, with the same parameters trained in the same order, {WAY_OUT}",
                where="the optimizer",
            )
