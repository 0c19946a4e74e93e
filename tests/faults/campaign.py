"""What campaigns of faults have in common: their size, their seed, and what they count."""

from __future__ import annotations

import random
import time
from collections import Counter
from typing import TypeVar

import attrs

T = TypeVar("T")

SIZES = ("ci", "full")


def _seeded(campaign: Campaign) -> random.Random:
    return random.Random(campaign.seed)  # noqa: S311  # it chooses where to break things


@attrs.define
class Campaign:
    """One campaign: it breaks things at random, the same way each time, and counts what it did.

    Attributes:
        name: What the table of figures calls it.
        size: One of `SIZES`.
        seed: Of what is random.
        random: The source of it.
        counts: What was done, and how often.
    """

    name: str
    size: str
    seed: int = 0
    random: random.Random = attrs.field(default=attrs.Factory(_seeded, takes_self=True))
    counts: Counter[str] = attrs.Factory(Counter)
    _started: float = attrs.Factory(time.monotonic)

    def of(self, ci: T, full: T) -> T:
        """One of two values, by the size."""
        return full if self.size == "full" else ci

    def count(self, what: str, number: int = 1) -> None:
        """Counts something that was done, or found, in the words of the table."""
        self.counts[what] += number

    def figures(self) -> str:
        """One row of the table: what was counted, and the seconds it took."""
        counted = ", ".join(f"{number:,} {what}" for what, number in self.counts.items())
        return f"{counted} ({time.monotonic() - self._started:.1f} s)"
