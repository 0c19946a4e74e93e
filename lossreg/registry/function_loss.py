"""A loss that is a plain function of input and target, where a factory is expected."""

from __future__ import annotations

import functools
import inspect
from collections.abc import Callable, Collection
from types import FunctionType
from typing import Any

#: What the runner reads of a loss, and a function has as a parameter instead.
_ATTRIBUTES = ("reduction", "weight", "ignore_index")


class FunctionLossFactory:
    """The factory of a loss that is a function: sets all parameters of the function but the first two.

    Args:
        function: Called as `function(input, target, **parameters)`.
    """

    def __init__(self, function: Callable[..., Any]) -> None:
        functools.update_wrapper(self, function)
        self._function = function
        signature = _signature(function)
        self._own = list(signature.parameters.values())[2:]
        self.__signature__ = signature.replace(parameters=self._own)

    def __call__(self, **parameters: Any) -> Callable[..., Any]:
        """The function with these parameters, which has those that a runner reads of a loss as attributes."""
        loss = functools.partial(self._function, **parameters)
        defaults = {one.name: one.default for one in self._own if one.default is not one.empty}
        vars(loss).update({name: value for name, value in (defaults | parameters).items() if name in _ATTRIBUTES})
        return loss


def is_loss_itself(found: object, known: Collection[str]) -> bool:
    """Whether what a loss names as its factory is a function of input and target instead.

    That is a function whose first two parameters have no default, are not declared as parameters of the loss, and are
    annotated as tensors or not at all; what it returns is, too.

    Args:
        found: What the component names.
        known: The parameters that the component declares.
    """
    if not isinstance(found, FunctionType):
        return False
    try:
        signature = inspect.signature(found)
    except (TypeError, ValueError):
        return False
    parameters = list(signature.parameters.values())[:2]
    positional = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return (
        len(parameters) == 2
        and all(one.kind in positional and one.default is one.empty and one.name not in known for one in parameters)
        and all(map(_may_be_tensor, [*(one.annotation for one in parameters), signature.return_annotation]))
    )


def _may_be_tensor(annotation: object) -> bool:
    text = annotation if isinstance(annotation, str) else getattr(annotation, "__name__", str(annotation))
    return annotation is inspect.Parameter.empty or "Tensor" in text or text in ("Any", "typing.Any")


def _signature(function: Callable[..., Any]) -> inspect.Signature:
    try:
        return inspect.signature(function, eval_str=True)
    except Exception:  # whatever evaluating an annotation raises: it may name what only a type checker imports
        return inspect.signature(function)
