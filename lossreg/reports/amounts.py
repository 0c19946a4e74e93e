"""A number over the runs of a cell: mean and standard deviation. Needs no torch."""

from __future__ import annotations

import math
from collections.abc import Iterable

import attrs


@attrs.frozen
class Amount:
    """A number over the runs of a cell.

    Attributes:
        mean: The mean.
        deviation: The standard deviation of a sample (with n - 1); None for a single run.
        count: Of how many runs.
    """

    mean: float
    deviation: float | None
    count: int

    @classmethod
    def of(cls, values: Iterable[float | str | None]) -> Amount | None:
        """The amount of some values, or None if no number is among them.

        Example:
            >>> Amount.of([1.0, None, 3.0])
            Amount(mean=2.0, deviation=1.4142135623730951, count=2)
        """
        numbers = [float(value) for value in values if isinstance(value, int | float)]
        if not numbers:
            return None
        mean, count = math.fsum(numbers) / len(numbers), len(numbers)
        # `hypot` squares nothing that could overflow, and takes a tenth of the time of `statistics.stdev`.
        deviation = math.hypot(*(number - mean for number in numbers)) / math.sqrt(count - 1) if count > 1 else None
        return cls(mean, deviation, count)
