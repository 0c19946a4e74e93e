"""Several optimizers as one: each has parameters of its own, and all step together."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch.optim import Optimizer


class JointOptimizer(Optimizer):
    """Optimizers that are stepped, scheduled, scaled, saved and loaded as one.

    `param_groups` are the groups of the members themselves: a scheduler that changes a rate there changes the
    member's. `defaults` has what all members have. What only some members have (`train()` and `eval()` of those that
    are without a schedule) is passed on to these.

    Args:
        members: The optimizers; no two of them have a parameter in common.

    Attributes:
        members: The optimizers.

    Example:
        >>> weight, bias = torch.nn.Parameter(torch.ones(2, 2)), torch.nn.Parameter(torch.ones(2))
        >>> joint = JointOptimizer([torch.optim.SGD([weight], lr=0.5), torch.optim.Adam([bias], lr=0.1)])
        >>> [group["lr"] for group in joint.param_groups]
        [0.5, 0.1]
    """

    members: tuple[Optimizer, ...]
    _parts: tuple[JointOptimizer, ...] = ()

    def __init__(self, members: Sequence[Optimizer]) -> None:
        first, *others = members
        common = {key: value for key, value in first.defaults.items() if all(key in one.defaults for one in others)}
        # torch checks that no parameter is in two groups, and keeps the dictionaries of the members.
        super().__init__([group for member in members for group in member.param_groups], {})
        self.defaults = common
        self.members = tuple(members)
        self._pass_on_modes()

    def _pass_on_modes(self) -> None:
        """Has `train` and `eval` if a member has them: a runner goes by that."""
        for mode in ("train", "eval"):
            calls = [getattr(member, mode) for member in self.members if callable(getattr(member, mode, None))]
            if calls:
                setattr(self, mode, _CallAll(calls))

    def part(self, members: Sequence[int]) -> JointOptimizer:
        """Some of the members as one, for a scheduler that moves their rates alone; the whole steps them.

        Args:
            members: Their places.
        """
        part = JointOptimizer([self.members[place] for place in members])
        self._parts = (*self._parts, part)
        return part

    def step(self, closure: Callable[[], Any] | None = None) -> Any:
        """Steps all members, once the closure, if there is one, has computed the loss and the gradients.

        Returns:
            What the closure returns.
        """
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        for member in self.members:
            member.step()
        return loss

    def zero_grad(self, set_to_none: bool = True) -> None:
        """Clears the gradients of all members."""
        for member in self.members:
            member.zero_grad(set_to_none=set_to_none)

    def state_dict(self) -> dict[str, Any]:
        """The states of the members, in their order."""
        return {"members": [member.state_dict() for member in self.members]}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict` gave.

        Raises:
            ValueError: If it is the state of another number of optimizers.
        """
        states = state_dict.get("members")
        if not isinstance(states, list) or len(states) != len(self.members):
            held = f"{len(states)} optimizers" if isinstance(states, list) else "one optimizer"
            raise ValueError(f"the state is that of {held}, not of {len(self.members)}")
        for member, state in zip(self.members, states, strict=True):
            member.load_state_dict(state)
        self._join()

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Adds a group to the first member; torch calls this for the members' own groups, too."""
        if not hasattr(self, "members"):
            super().add_param_group(param_group)
            return
        self.members[0].add_param_group(param_group)
        self._join()

    def _join(self) -> None:
        """Takes the members' groups, which they may have replaced."""
        self.param_groups = [group for member in self.members for group in member.param_groups]
        for part in self._parts:
            part._join()

    @property
    def state(self) -> Any:
        """The state of each parameter, of all members; to be read."""
        return {key: value for member in self.members for key, value in member.state.items()}

    @state.setter
    def state(self, value: Any) -> None:
        """The members keep their states; torch sets an empty one before there are members."""

    def __getstate__(self) -> dict[str, Any]:
        return {"defaults": self.defaults, "members": self.members, "param_groups": self.param_groups}

    def __setstate__(self, state: dict[str, Any]) -> None:
        super().__setstate__(state)
        self._pass_on_modes()


class _CallAll:
    """Calls several functions without arguments."""

    def __init__(self, calls: Sequence[Callable[[], Any]]) -> None:
        self._calls = calls

    def __call__(self) -> None:
        for call in self._calls:
            call()
