"""Lookahead: slow weights that follow those of another optimizer."""

from __future__ import annotations

from typing import Any

import torch

from lossreg_builtin.wrapper import Closure, Wrapper


class Lookahead(Wrapper):
    r"""Every `k` steps of another optimizer, slow weights go a part of the way to its weights, which start from there.

    .. math:: \phi \leftarrow \phi + \alpha (\theta - \phi), \qquad \theta \leftarrow \phi

    The slow weights begin as the weights before the first step. The momentum of the other optimizer goes on as it is.
    What is evaluated are the weights of the moment; after a multiple of `k` steps these are the slow ones. A group of
    parameters may have `k` and `alpha` of its own.

    Args:
        params: The parameters, which the other optimizer has, or groups of them.
        optimizer: The other optimizer.
        k: Its steps between two of the slow weights.
        alpha: The part of the way, 0 to 1.

    Source:
        Zhang, Lucas, Hinton and Ba (2019), Lookahead Optimizer: k steps forward, 1 step back, algorithm 1.

    Example:
        >>> import lossreg
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = lossreg.optimizers.build("lookahead(optimizer=sgd(lr=0.5, momentum=0.0), k=2)", [weight])
        >>> for _ in range(2):
        ...     weight.grad = torch.ones(1)
        ...     optimizer.step()
        >>> weight.item()  # half of the way from 1 to 0
        0.5
    """

    def __init__(self, params: Any, optimizer: torch.optim.Optimizer, k: int = 5, alpha: float = 0.5) -> None:
        super().__init__(optimizer, params, ["k", "alpha"])
        self.k = k
        self.alpha = alpha
        for options in ({"k": k, "alpha": alpha}, *self.own_groups):
            if options.get("k", 1) < 1:
                raise ValueError(f"k={options['k']} is not a number of steps")
            if not 0 <= options.get("alpha", 0) <= 1:
                raise ValueError(f"alpha={options['alpha']} is not between 0 and 1")
        self.steps = 0

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]  # the loss is a tensor
        """A step of the other optimizer, and after every `k` of them one of the slow weights."""
        if not self.steps:
            for parameter in self.parameters:
                self.state[parameter]["slow"] = parameter.clone()
        with torch.enable_grad():
            loss = self.optimizer.step() if closure is None else self.optimizer.step(closure)  # type: ignore[arg-type]  # torch takes the tensor
        self.steps += 1
        for place, group in enumerate(self.param_groups):
            if self.steps % self.option("k", place) == 0:
                alpha = self.option("alpha", place)
                for parameter in group["params"]:
                    slow = self.state[parameter]["slow"]
                    slow.lerp_(parameter, alpha)
                    parameter.copy_(slow)
        return loss

    def state_dict(self) -> dict[str, Any]:
        """The slow weights, the number of steps, and the state of the other optimizer as `base`."""
        return {**super().state_dict(), "steps": self.steps}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads what `state_dict()` gave."""
        super().load_state_dict({key: value for key, value in state_dict.items() if key != "steps"})
        self.steps = state_dict["steps"]
