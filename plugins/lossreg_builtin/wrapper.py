"""What the optimizers have in common that wrap another one."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

Closure = Callable[[], Tensor]


class Wrapper(torch.optim.Optimizer):
    """An optimizer that changes what another one does, with the groups of that one: schedulers move its rates.

    Its `state_dict()` holds its own state and, as `base`, that of the other. It has `train()` and `eval()` if the other
    has.

    Args:
        optimizer: The other optimizer.
        params: What it is given in place of parameters; groups may have options of its own.
        options: The names of these.

    Attributes:
        own_groups: The options of its own that the groups have, group by group.
    """

    def __init__(self, optimizer: torch.optim.Optimizer, params: Any = (), options: Sequence[str] = ()) -> None:
        super().__init__([dict(group) for group in optimizer.param_groups], {})
        given = [one for one in params if isinstance(one, Mapping)] if isinstance(params, list | tuple) else []
        self.own_groups = [{key: group[key] for key in options if key in group} for group in given]
        self.optimizer = optimizer
        self.defaults = optimizer.defaults
        self.param_groups = optimizer.param_groups

    @property
    def parameters(self) -> list[Parameter]:
        """All parameters, group by group."""
        return [parameter for group in self.param_groups for parameter in group["params"]]

    def option(self, name: str, group: int) -> Any:
        """An option of its own, as a group has it.

        Args:
            name: The option.
            group: The place of the group.
        """
        own = self.own_groups[group] if group < len(self.own_groups) else {}
        return own.get(name, getattr(self, name))

    def __getattr__(self, name: str) -> Any:
        if name in ("train", "eval") and "optimizer" in self.__dict__:
            return getattr(self.optimizer, name)
        raise AttributeError(f"{type(self).__name__} has no attribute {name!r}")

    def __getstate__(self) -> dict[str, Any]:
        """All attributes; torch's own leaves out what it does not know.

        One of them is the method that a scheduler of torch puts in the place of `step`: it steps this optimizer, also
        where a copy has it.
        """
        return {name: value for name, value in self.__dict__.items() if name != "step"}

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group to the other optimizer."""
        if "optimizer" in self.__dict__:
            self.optimizer.add_param_group(param_group)
        else:  # from torch's constructor, which wants groups of its own
            super().add_param_group(param_group)

    def state_dict(self) -> dict[str, Any]:
        """Its own state, and that of the other optimizer as `base`."""
        return {**super().state_dict(), "base": self.optimizer.state_dict()}

    @torch.no_grad()
    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict()` gave."""
        own = {key: value for key, value in state_dict.items() if key != "base"}
        super().load_state_dict(own)
        base = state_dict["base"]
        if "param_groups" in base:  # the same ones as above, where a hook may have changed what is loaded
            groups = [
                {**own_group, "params": group["params"]}
                for own_group, group in zip(self.param_groups, base["param_groups"], strict=True)
            ]
            base = {**base, "param_groups": groups}
        self.optimizer.load_state_dict(base)
        self.param_groups = self.optimizer.param_groups
