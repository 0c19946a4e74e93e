"""When the cycles of timm's schedules begin, and when their milestones come."""

from __future__ import annotations

import bisect
import math
from collections.abc import Sequence

MOST = 1_000_000  # epochs that are gone through; a run has no more


def length_of(epochs: int, cycles: int, growth: float) -> int:
    """The epochs of some cycles, each of which is longer than the one before it by a factor.

    Example:
        >>> length_of(10, 3, 1.0), length_of(10, 3, 2.0)
        (30, 70)
    """
    growth = float(growth)  # a whole number would have as many digits as there are cycles
    return epochs * cycles if growth == 1 else math.floor(-epochs * (growth**cycles - 1) / (1 - growth))


def first_epochs(epochs: int, growth: float, limit: int, span: int) -> dict[int, int] | None:
    """Number of a cycle, as timm's logarithm finds it -> its first epoch; `limit` is what comes behind the last.

    Args:
        epochs: Of the first cycle.
        growth: As for `length_of`; more than 1.
        limit: How many cycles there are.
        span: How many epochs are looked at.

    Returns:
        The cycles in their order; None if there are too many epochs to go through.

    Example:
        >>> first_epochs(10, 2.0, 3, 75)
        {0: 0, 1: 10, 2: 30, 3: 70}
    """
    if span > MOST:
        return None
    found: dict[int, int] = {}
    for epoch in range(span):
        found.setdefault(min(limit, math.floor(math.log(1 - epoch / epochs * (1 - growth), growth))), epoch)
    return found


def in_order(milestones: Sequence[float]) -> list[float]:
    """Milestones of which timm takes for granted that they are in order: where its search comes to each.

    Example:
        >>> in_order([3, 7]), in_order([10, 5]), in_order([30, 10, 20])
        ([3, 7], [5, 5], [10, 10, 20])
    """
    reached = [
        min((one for one in milestones if bisect.bisect_right(milestones, one) > place), default=math.inf)
        for place in range(len(milestones))
    ]
    return [one for one in reached if one < math.inf]
