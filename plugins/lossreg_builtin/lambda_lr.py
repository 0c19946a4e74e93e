"""LambdaLR whose multiplier is an expression in text."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal, get_args

import torch

from lossreg.errors import ExpressionError
from lossreg.expression import Expression
from lossreg.names import snake_case

Interval = Literal["epoch", "step"]


class LrLambda:
    """A multiplier of the learning rate from an expression: what `LambdaLR` calls with its counter.

    It is picklable, and its state, as `LambdaLR.state_dict()` takes it, is the text alone.

    Args:
        text: The expression.
        interval: What the counter counts. Counting epochs, the expression may name `epoch`; counting steps, `step`
            and `epoch`.
        epochs: How many epochs are trained; needed if the expression names `epochs`.
        steps_per_epoch: Steps in an epoch; needed if the expression names it, or `epoch` while steps are counted.

    Raises:
        ExpressionError: If the text is not an expression, names what is not known, or, where the number of epochs is
            known, has no usable value at one of them.
        ValueError: If the interval is another word.

    Example:
        >>> [LrLambda("epoch // 2")(epoch) for epoch in range(5)]
        [0.0, 0.0, 1.0, 1.0, 2.0]
    """

    # LambdaLR saves the __dict__ of a callable object and restores it behind __init__'s back: only the text is in it.
    __slots__ = ("__dict__", "_epochs", "_expression", "_interval", "_steps_per_epoch")

    text: str

    def __init__(
        self, text: str, interval: Interval = "epoch", epochs: int | None = None, steps_per_epoch: int | None = None
    ) -> None:
        if interval not in get_args(Interval):
            raise ValueError(f"interval is 'epoch' or 'step', not {interval!r}")
        self._expression = Expression(text)
        self._interval = interval
        self._epochs = epochs
        self._steps_per_epoch = steps_per_epoch
        self.text = self._expression.text
        self._check_names()
        self._check_values()

    def __call__(self, counter: int) -> float:
        """The multiplier when `counter` epochs or steps are done."""
        if self.text != self._expression.text:
            raise different_text(self._expression.text, self.text)
        return self._expression(self._values(counter))

    def _values(self, counter: int) -> dict[str, float]:
        values = {"epochs": self._epochs, "steps_per_epoch": self._steps_per_epoch}
        if self._interval == "epoch":
            values["epoch"] = counter
        else:
            values["step"] = counter
            values["epoch"] = counter // self._steps_per_epoch if self._steps_per_epoch else None
        return {name: value for name, value in values.items() if value is not None}

    def _check_names(self) -> None:
        names = self._expression.names
        if self._interval == "epoch" and "step" in names:
            raise ExpressionError(
                f'expression "{self.text}" names step, but the schedule counts epochs; '
                "write epoch, or count steps: scheduler_interval='step' (--sched-interval step)",
                text=self.text,
            )
        unknown = names - self._values(0).keys()
        if unknown:
            needed = "steps_per_epoch" if "epoch" in unknown else ", ".join(sorted(unknown))
            raise ExpressionError(
                f'expression "{self.text}" needs {needed}, which is not known; give it as a parameter',
                text=self.text,
            )

    def _check_values(self) -> None:
        # An error at epoch 7 is an error now, not after seven epochs of work.
        if not self._expression.names:
            self(0)
        elif self._epochs and (self._interval == "epoch" or self._steps_per_epoch):
            for counter in range(self._epochs * (1 if self._interval == "epoch" else self._steps_per_epoch or 0)):
                self(counter)

    def __repr__(self) -> str:
        return f"LrLambda({self.text!r})"

    def __reduce__(self) -> tuple[Any, ...]:
        return LrLambda, (self._expression.text, self._interval, self._epochs, self._steps_per_epoch)


def different_text(own: str | None, other: str | None) -> ExpressionError:
    """The error for a state that was saved by another expression; None stands for a Python function."""
    mine, saved = (f'"{text}"' if text is not None else "a Python function" for text in (own, other))
    return ExpressionError(
        f"the schedule is {mine}, but the state to load was saved by {saved}", text=own or "", other=other
    )


def check_same_texts(lambdas: list[Callable[[int], float]], state_dict: dict[str, Any]) -> None:
    """Checks that a state was saved by the same expressions.

    Raises:
        ExpressionError: If it was saved by another one.
    """
    for own, state in zip(lambdas, state_dict["lr_lambdas"], strict=True):
        text, saved = getattr(own, "text", None), (state or {}).get("text")
        if text != saved:
            raise different_text(text, saved)


class WithExpression(torch.optim.lr_scheduler.LRScheduler):
    """What LambdaLR and MultiplicativeLR have in common: the function may be an expression.

    It stands before torch's class, among whose parameters `lr_lambda` is.
    """

    lr_lambdas: list[Callable[[int], float]]

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
            try:
                lr_lambda = LrLambda(lr_lambda, interval, epochs, steps_per_epoch)
            except ExpressionError as error:
                error.message = f"{snake_case(type(self).__name__, 'scheduler')}: lr_lambda: {error.message}"
                raise
        super().__init__(optimizer, lr_lambda, last_epoch)  # type: ignore[call-arg, arg-type]  # torch's class comes next

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Loads a state that `state_dict()` gave.

        Raises:
            ExpressionError: If it was saved by another expression; nothing is changed then.
        """
        check_same_texts(self.lr_lambdas, state_dict)
        super().load_state_dict(state_dict)


class LambdaLR(WithExpression, torch.optim.lr_scheduler.LambdaLR):
    """Multiplies each group's base learning rate by a function of the epoch (or step).

    Use it for any schedule that a formula describes. Equals `torch.optim.lr_scheduler.LambdaLR`, which takes
    functions only.

    Args:
        optimizer: The optimizer whose rates are set.
        lr_lambda: An expression such as `"epoch // 2"` (see `lossreg.Expression`), or a function from the number of
            epochs (or steps) done to a multiplier.
        interval: Whether `step()` is called after each epoch or after each step.
        epochs: How many epochs are trained.
        steps_per_epoch: Steps in an epoch.
        last_epoch: The counter to go on from; -1 is a fresh start.

    Raises:
        ExpressionError: If the expression is wrong, or has no value at an epoch that will come.

    Example:
        >>> import torch
        >>> optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1)
        >>> scheduler = LambdaLR(optimizer, "1 / (1 + epoch)")
        >>> optimizer.step(); scheduler.step(); scheduler.get_last_lr()
        [0.05]
    """
