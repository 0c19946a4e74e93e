"""MultiplicativeLR whose factor is an expression in text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch

from lossreg_builtin.lambda_lr import Interval, LrLambda, check_same_texts


class MultiplicativeLR(torch.optim.lr_scheduler.MultiplicativeLR):
    """Multiplies the rate, after each epoch (or step), by a function of the number of those done.

    Equals `torch.optim.lr_scheduler.MultiplicativeLR`, which takes functions only.

    Args:
        optimizer: The optimizer whose rates are set.
        lr_lambda: An expression such as `"0.95"` or `"1 - 1 / (epoch + 1)"` (see `lossreg.Expression`), or a function
            from the number of epochs (or steps) done to a factor.
        interval: Whether `step()` is called after each epoch or after each step.
        epochs: How many epochs are trained.
        steps_per_epoch: Steps in an epoch.
        last_epoch: The counter to go on from; -1 is a fresh start.

    Raises:
        ExpressionError: If the expression is wrong, or has no value at an epoch that will come.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.5)
        >>> scheduler = MultiplicativeLR(optimizer, "1 / (1 + epoch)")
        >>> optimizer.step(); scheduler.step(); scheduler.get_last_lr()
        [0.25]
    """

    def __init__(
        self,
        optimizer: torch.optim.Optimizer,
        lr_lambda: str | Callable[[int], float],
        interval: Interval = "epoch",
        epochs: int | None = None,
        steps_per_epoch: int | None = None,
        last_epoch: int = -1,
    ) -> None:
        if isinstance(lr_lambda, str):
            lr_lambda = LrLambda(lr_lambda, interval, epochs, steps_per_epoch)
        super().__init__(optimizer, lr_lambda, last_epoch)

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state that `state_dict()` gave.

        Raises:
            ExpressionError: If it was saved by another expression; nothing is changed then.
        """
        check_same_texts(self.lr_lambdas, state_dict)
        super().load_state_dict(state_dict)
