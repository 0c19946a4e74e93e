"""What a metric's `compute` gives, as one number."""

from __future__ import annotations

import math

from torch import Tensor

from lossreg.errors import ConfigError
from lossreg.values import plain, shown


def number_of(value: object, label: str) -> float:
    """The value of a metric; waits for the device.

    Args:
        value: What its `compute` gave.
        label: The metric in an error message.

    Raises:
        ConfigError: If it is not one real number.
    """
    if isinstance(value, Tensor):
        if value.ndim == 0 and not value.is_complex():
            return float(value)
        what = f"a tensor of shape {tuple(value.shape)}" if value.ndim else f"a tensor of {value.dtype}"
    else:
        number = plain(value)
        if isinstance(number, int | float):
            return float(number)
        what = shown(value)
    raise ConfigError(
        f"the metric {label} gives {what}, and one number is needed: some metrics have a parameter for that, such as "
        "average='macro'"
    )


def finite_or_none(value: float) -> float | None:
    """A number as a row has it."""
    return value if math.isfinite(value) else None
