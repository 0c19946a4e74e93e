"""MultiplicativeLR whose factor is an expression in text."""

from __future__ import annotations

import torch

from lossreg_builtin.lambda_lr import WithExpression


class MultiplicativeLR(WithExpression, torch.optim.lr_scheduler.MultiplicativeLR):
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
