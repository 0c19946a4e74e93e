"""A curve in one line of text."""

from __future__ import annotations

import math
from collections.abc import Sequence

BLOCKS = "▁▂▃▄▅▆▇█"
_WIDE = 100  # how many times the least value the greatest may be before heights are of logarithms


class Curve:
    """All values of a run, as at most so many means: when it is full, each two neighbours become one.

    Args:
        size: Means that it holds at most; an even number.

    Example:
        >>> curve = Curve(4)
        >>> for value in range(8):
        ...     curve.add(value)
        >>> curve.means
        [0.5, 2.5, 4.5, 6.5]
    """

    def __init__(self, size: int) -> None:
        self._size = size
        self._stride = 1  # values in each mean
        self._means: list[float] = []
        self._rest: list[float] = []  # of a mean that is not complete

    def add(self, value: float) -> None:
        """Adds a value; one that is not finite is left out."""
        if not math.isfinite(value):
            return
        self._rest.append(value)
        if len(self._rest) < self._stride:
            return
        self._means.append(math.fsum(self._rest) / len(self._rest))
        self._rest.clear()
        if len(self._means) > self._size:
            self._stride *= 2
            self._rest.append(self._means.pop())
            self._means = [(one + two) / 2 for one, two in zip(self._means[::2], self._means[1::2], strict=True)]
            self._rest *= self._stride // 2  # a mean of as many values

    @property
    def means(self) -> list[float]:
        """What it holds, oldest first."""
        return list(self._means)


def sparkline(values: Sequence[float]) -> str:
    """A block for each value, from the lowest to the highest; all the same for values that are equal.

    Heights are of logarithms where the greatest value is more than 100 times the least, so that a first loss of
    thousands leaves something to see of the others.

    Example:
        >>> sparkline([0, 1, 2, 3, 4, 5, 6, 7]), sparkline([3.0, 3.0]), sparkline([])
        ('▁▂▃▄▅▆▇█', '▁▁', '')
        >>> sparkline([1e4, 1e3, 1e2, 1e1])
        '█▆▃▁'
    """
    if not values:
        return ""
    if 0 < min(values) * _WIDE < max(values):
        values = [math.log(value) for value in values]
    if not math.isfinite(max(values) - min(values)):
        values = [value / 2 for value in values]
    low, high = min(values), max(values)
    heights = ((value - low) / (high - low) if high > low else 0.0 for value in values)
    return "".join(BLOCKS[round(height * (len(BLOCKS) - 1))] for height in heights)
