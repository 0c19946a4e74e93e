"""Which parameter of a loss an error of its own speaks of, so that not the data or the model is blamed."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator

from torch import Tensor

from lossreg.errors import ParameterError, describe_error
from lossreg.values import shown

_WORDS = re.compile(r"(?:``'\w+'``\s*\|\s*)+``'\w+'``")  # as torch documents what `reduction` can be


def check_own_parameters(criterion: object, error: Exception, label: str) -> None:
    """Refuses a parameter of a loss, if the error that the loss raised names one that is not at its default.

    Args:
        criterion: The loss.
        error: What it raised for a batch.
        label: The loss in an error message.

    Raises:
        ParameterError: With the loss's own sentence, or with the words that `reduction` can be.
    """
    words = set(re.findall(r"\w+", str(error)))
    for name, value in _set_parameters(criterion):
        if name in words or (name == "reduction" and value in words):
            why = _unknown_reduction(criterion, value) if name == "reduction" else None
            refused = ParameterError(
                f"loss {label}: {why or f'its parameter {name} is wrong: {describe_error(error)}'}",
                component=label,
                parameter=name,
            )
            refused.setting = "loss"
            raise refused from error


def _set_parameters(criterion: object) -> Iterator[tuple[str, object]]:
    """The parameters of the loss's class that the loss keeps, and that are not at their default."""
    try:
        parameters = inspect.signature(type(criterion)).parameters.values()
    except (TypeError, ValueError):  # made in C
        return
    for parameter in parameters:
        value = getattr(criterion, parameter.name, None)
        if isinstance(value, Tensor) or (isinstance(value, str | int | float) and value != parameter.default):
            yield parameter.name, value


def _unknown_reduction(criterion: object, value: object) -> str | None:
    """What is wrong with a reduction that is not one of the documented words."""
    found = _WORDS.search(inspect.getdoc(type(criterion)) or "")
    words = re.findall(r"\w+", found[0]) if found else []
    if not words or value in words:
        return None
    listed = f"{', '.join(map(repr, words[:-1]))} or {words[-1]!r}"
    return f"reduction is {listed}, not {shown(value)}; training needs 'mean' or 'sum'"
