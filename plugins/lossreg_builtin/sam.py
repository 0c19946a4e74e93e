"""Sharpness-aware minimisation: another optimizer steps with the gradient of a worse place nearby."""

from __future__ import annotations

from typing import Any

import torch

from lossreg_builtin.wrapper import Closure, Wrapper

_EPS = 1e-12  # the paper's own code divides by the norm plus this


class SAM(Wrapper):
    r"""Climbs from the weights by `rho` along the gradient, and steps from the weights with the gradient found there.

    .. math:: g = \nabla L\!\left(w + \rho \frac{\nabla L(w)}{\lVert \nabla L(w) \rVert_2}\right)

    The norm is that of all parameters together. Each step computes loss and gradients twice. What is clipped are both
    gradients; that the first one is clipped changes nothing, since only its direction counts. A group of parameters may
    have a `rho` of its own.

    Args:
        params: The parameters, which the other optimizer has, or groups of them.
        optimizer: The optimizer that steps.
        rho: How far it climbs, a distance between weights.

    Source:
        Foret, Kleiner, Mobahi and Neyshabur (2021), Sharpness-Aware Minimization for Efficiently Improving
        Generalization, algorithm 1 with p = 2.

    Example:
        >>> import lossreg
        >>> weight = torch.nn.Parameter(torch.ones(1))
        >>> optimizer = lossreg.optimizers.build("sam(optimizer=sgd(lr=0.1, momentum=0.0), rho=0.5)", [weight])
        >>> def closure():
        ...     optimizer.zero_grad()
        ...     loss = weight.square().sum()
        ...     loss.backward()
        ...     return loss
        >>> optimizer.step(closure).item()
        1.0
        >>> round(weight.item(), 6)  # 1 - 0.1 * 2 * 1.5
        0.7
    """

    def __init__(self, params: Any, optimizer: torch.optim.Optimizer, rho: float = 0.05) -> None:
        super().__init__(optimizer, params, ["rho"])
        self.rho = rho
        for distance in (rho, *(own["rho"] for own in self.own_groups if own)):
            if not distance >= 0:
                raise ValueError(f"rho={distance} is not a distance")

    @torch.no_grad()
    def step(self, closure: Closure) -> Any:  # type: ignore[override]  # it cannot do without; the loss is a tensor
        """A step.

        Args:
            closure: Clears the gradients, computes loss and gradients, and returns the loss. If it has `again`, that is
                called in the worse place: the closure of a run leaves the statistics of batch normalisation alone
                there, as in the implementations of the paper.

        Returns:
            The loss at the weights before the step.
        """
        with torch.enable_grad():
            loss = closure()
        moving = [
            (parameter, self.option("rho", place))
            for place, group in enumerate(self.param_groups)
            for parameter in group["params"]
            if parameter.grad is not None
        ]
        moved = [parameter for parameter, _ in moving]
        before = [parameter.clone() for parameter in moved]
        if moved:
            norms = [torch.linalg.vector_norm(one.grad).to(moved[0].device) for one in moved if one.grad is not None]
            norm = torch.linalg.vector_norm(torch.stack(norms)) + _EPS
            shares = {rho: rho / norm for rho in {rho for _, rho in moving}}
            for parameter, rho in moving:
                parameter.add_(parameter.grad * shares[rho].to(parameter.device))
        try:
            with torch.enable_grad():
                getattr(closure, "again", closure)()  # statistics of batch normalisation are those of the weights alone
        finally:  # a closure that is interrupted leaves no weights that are worse on purpose
            for parameter, old in zip(moved, before, strict=True):
                parameter.copy_(old)
        self.optimizer.step()
        return loss
