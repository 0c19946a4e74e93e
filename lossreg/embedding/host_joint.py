"""Several optimizers as one for a host, which saves and loads states in torch's form."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from lossreg.errors import ConfigError
from lossreg.training.optim.joint import JointOptimizer
from lossreg.training.optim.loading import is_state_dict

if TYPE_CHECKING:
    from torch.optim import Optimizer


class HostJoint(JointOptimizer):
    """Several optimizers whose state is that of one of torch's: its parameters are numbered through.

    So what goes by that form, such as `torch.distributed.checkpoint.state_dict`, can name them. Where a member saves in
    a form of its own (wrappers do), the states stand beside each other.

    Args:
        members: The optimizers; no two of them have a parameter in common.
        routed: What a message calls one that is not for all parameters; None where the first is for all.

    Example:
        >>> import torch
        >>> weight, bias = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
        >>> joint = HostJoint([torch.optim.SGD([weight], lr=0.5), torch.optim.Adam([bias], lr=0.1)])
        >>> [group["params"] for group in joint.state_dict()["param_groups"]]
        [[0], [1]]
    """

    def __init__(self, members: Sequence[Optimizer], routed: str | None = None) -> None:
        super().__init__(members)
        self._routed = routed

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group to the first optimizer, which trains what no pattern names.

        Raises:
            ConfigError: If that one is not for all parameters: tensors do not say which of them it is for.
        """
        if getattr(self, "_routed", None) is not None:
            raise ConfigError(
                f"{self._routed} is not for all parameters, and a group that is added does not say which of its "
                "parameters are in hidden layers: have all of them require gradients when parts.optimizer is called "
                "(without a gradient they stay as they are), or call it again",
                setting="optimizer",
            )
        super().add_param_group(param_group)

    def __getstate__(self) -> dict[str, Any]:
        return {**super().__getstate__(), "_routed": self._routed}

    def state_dict(self) -> dict[str, Any]:
        """The states of the members as one."""
        for before in self._optimizer_state_dict_pre_hooks.values():
            before(self)
        state = self._joined_states()
        for after in self._optimizer_state_dict_post_hooks.values():
            state = after(self, state) or state
        return state

    def _joined_states(self) -> dict[str, Any]:
        states = [member.state_dict() for member in self.members]
        if not all(_is_plain(state) for state in states):
            return {"members": states}
        numbered: dict[Any, Any] = {}
        groups: list[dict[str, Any]] = []
        for state in states:
            before = sum(len(group["params"]) for group in groups)
            numbered |= {number + before: values for number, values in state["state"].items()}
            groups += [
                {**one, "params": [number + before for number in one["params"]]} for one in state["param_groups"]
            ]
        return {"state": numbered, "param_groups": groups}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` gave; parameters may have names in place of their numbers.

        Raises:
            ValueError: If it is the state of other optimizers.
        """
        for before in self._optimizer_load_state_dict_pre_hooks.values():
            state_dict = before(self, state_dict) or state_dict
        self._load(state_dict)
        for after in self._optimizer_load_state_dict_post_hooks.values():
            after(self)

    def _load(self, state_dict: dict[str, Any]) -> None:
        if not is_state_dict(state_dict):
            super().load_state_dict(state_dict)
            return
        groups = list(state_dict["param_groups"])
        counts = [len(member.param_groups) for member in self.members]
        if len(groups) != sum(counts):
            raise ValueError(f"the state has {len(groups)} parameter groups, and the optimizer has {sum(counts)}")
        for member, count in zip(self.members, counts, strict=True):
            own, groups = groups[:count], groups[count:]
            keys = [key for group in own for key in group["params"]]
            state = {key: state_dict["state"][key] for key in keys if key in state_dict["state"]}
            member.load_state_dict({"state": state, "param_groups": own})
        self._join()


def _is_plain(state: dict[str, Any]) -> bool:
    """Whether a state is in torch's form, with parameters numbered from 0 in their order."""
    if state.keys() != {"state", "param_groups"} or not is_state_dict(state):
        return False
    numbers = [number for group in state["param_groups"] for number in group["params"]]
    return numbers == list(range(len(numbers))) and state["state"].keys() <= set(numbers)
