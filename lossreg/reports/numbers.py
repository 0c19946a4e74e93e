"""Numbers as a page shows them: those of one column with the same decimals, so that they can be compared."""

from __future__ import annotations

import math
from collections.abc import Sequence

from lossreg.reports.amounts import Amount

_LEAST, _GREATEST = 1e-3, 1e6  # beyond them a number has a power of ten


def decimals_for(values: Sequence[float]) -> int | None:
    """How many decimals the numbers of a column have; None for powers of ten.

    Example:
        >>> decimals_for([0.5, 0.25]), decimals_for([12.5, 3.0]), decimals_for([1000.0]), decimals_for([1e-7])
        (4, 2, 0, None)
    """
    greatest = max(map(abs, values), default=0.0)
    if greatest == 0:
        return 1
    if not _LEAST <= greatest < _GREATEST:
        return None
    return 4 if greatest < 10 else 2 if greatest < 1000 else 0


def number_text(value: float, decimals: int | None) -> str:
    """A number with so many decimals, and a minus sign of the width of a digit.

    Example:
        >>> number_text(0.125, 2), number_text(-1e-7, None)
        ('0.12', '−1e-07')
    """
    text = f"{value:.3g}" if decimals is None else f"{value:.{decimals}f}"
    return text.replace("-", "−", 1) if text.startswith("-") else text


def amount_text(amount: Amount, decimals: int | None) -> str:
    """A mean, with the standard deviation where there is one.

    Example:
        >>> amount_text(Amount(0.5, 0.01, 3), 4), amount_text(Amount(0.5, None, 1), 4)
        ('0.5000 ± 0.0100', '0.5000')
    """
    mean = number_text(amount.mean, decimals)
    return mean if amount.deviation is None else f"{mean} ± {number_text(amount.deviation, decimals)}"


def tick_texts(values: Sequence[float]) -> list[str]:
    """The texts of an axis.

    Example:
        >>> tick_texts([0.0, 0.5, 1.0]), tick_texts([0, 5]), tick_texts([0.0, 1e-7])
        (['0.0', '0.5', '1.0'], ['0', '5'], ['0', '1e-07'])
    """
    greatest = max(map(abs, values), default=0.0)
    step = values[1] - values[0] if len(values) > 1 else greatest or 1.0
    if greatest and not 1e-4 <= greatest < _GREATEST:
        return [f"{value:.4g}".replace("-", "−", 1) if value < 0 else f"{value:.4g}" for value in values]
    # As many decimals as the step between two ticks has.
    decimals = next(count for count in range(13) if count == 12 or math.isclose(round(step, count), step, rel_tol=1e-6))
    return [number_text(value, decimals) for value in values]


def seconds_text(seconds: float) -> str:
    """A duration.

    Example:
        >>> seconds_text(3.21), seconds_text(75), seconds_text(3725)
        ('3.2 s', '1 min 15 s', '1 h 02 min')
    """
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest:02} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours:,} h {minutes:02} min"
