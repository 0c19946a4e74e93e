"""Cautious: of another optimizer's step, only what goes down along the gradient."""

from __future__ import annotations

from typing import Any

import torch

from lossreg_builtin.wrapper import Closure, Wrapper

_LEAST = 1e-3  # the least share of elements by which a step is divided, as in the paper's own code


class Cautious(Wrapper):
    r"""Leaves out the elements of a step that go up along the gradient, and lengthens the others to make up for them.

    With the step :math:`u` of the other optimizer, for each parameter tensor:

    .. math:: w \leftarrow w + \frac{m}{\max(\bar m, 0.001)} u, \qquad m_i = [u_i g_i < 0]

    The paper leaves weight decay out of this; here it is a part of the other optimizer's step like all else.

    Args:
        params: The parameters, which the other optimizer has.
        optimizer: The other optimizer; one with momentum, since without it no element goes up.

    Source:
        Liang, Chen, Liu and Liu (2024), Cautious Optimizers: Improving Training with One Line of Code, with the scale
        of the authors' code.

    Example:
        >>> import lossreg
        >>> weight = torch.nn.Parameter(torch.zeros(2))
        >>> optimizer = lossreg.optimizers.build("cautious(optimizer=sgd(lr=1.0, momentum=0.5))", [weight])
        >>> for gradient in ([1.0, 1.0], [1.0, -0.25]):
        ...     weight.grad = torch.tensor(gradient)
        ...     optimizer.step()
        >>> weight.tolist()  # the second step of sgd is (-1.5, -0.25)
        [-4.0, -1.0]
    """

    def __init__(self, params: Any, optimizer: torch.optim.Optimizer) -> None:  # noqa: ARG002  # the kind's factories take parameters first
        super().__init__(optimizer)

    @torch.no_grad()
    def step(self, closure: Closure | None = None) -> Any:  # type: ignore[override]  # the loss is a tensor
        """A step."""
        loss = None
        if closure is not None:
            with torch.enable_grad():
                loss = closure()
        moved = [parameter for parameter in self.parameters if parameter.grad is not None]
        before = [parameter.clone() for parameter in moved]
        gradients = [parameter.grad.clone() for parameter in moved if parameter.grad is not None]
        self.optimizer.step()
        for parameter, old, gradient in zip(moved, before, gradients, strict=True):
            step = parameter - old
            mask = (step * gradient < 0).to(step.dtype)
            parameter.copy_(old.addcmul_(step, mask / mask.mean().clamp(min=_LEAST)))
        return loss
