"""What seeds tell: spread, paired differences with Student's t, and how many seeds would be enough.

The quantiles are scipy's, which scikit-learn brings; only its `special` is imported, when it is first needed.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

import attrs

CONFIDENCE = 0.95
POWER = 0.8  # how often the estimated number of seeds would tell two cells apart
MAX_SEEDS = 10_000  # more is no advice
_ROUNDING = 1e-14  # a mean difference below this share of the values is rounding
_EQUAL = 1e-9  # a standard deviation below this share of the mean is rounding


@attrs.frozen
class Spread:
    """Values of several seeds.

    Attributes:
        mean: Their mean.
        sd: Their standard deviation (divided by n - 1); None for one value.
        n: How many there are.
    """

    mean: float
    sd: float | None
    n: int


@attrs.frozen
class Difference:
    """A cell against another, seed by seed: its value minus the other's.

    Attributes:
        mean: Of the differences.
        sd: Their standard deviation (divided by n - 1); None for one seed.
        low: Where the interval of the mean difference begins; None where there is no interval.
        high: Where it ends.
        n: Seeds that both have.
        wins: Of the seeds, those in which the cell is better.
        ties: Those in which the two are equal.
        losses: Those in which it is worse.
        without: Why there is no interval, or None.
        seeds_needed: About how many seeds would make the interval exclude 0; None where that cannot be said.
    """

    mean: float
    sd: float | None
    low: float | None
    high: float | None
    n: int
    wins: int
    ties: int
    losses: int
    without: str | None
    seeds_needed: int | None

    @property
    def is_told_apart(self) -> bool:
        """Whether the interval excludes 0."""
        return self.low is not None and self.high is not None and (self.low > 0 or self.high < 0)


def spread(values: Sequence[float]) -> Spread | None:
    """Mean and standard deviation; None for no value.

    Example:
        >>> spread([1.0, 2.0, 3.0])
        Spread(mean=2.0, sd=1.0, n=3)
    """
    if not values:
        return None
    return Spread(statistics.fmean(values), statistics.stdev(values) if len(values) > 1 else None, len(values))


def paired(ours: Mapping[int, float], theirs: Mapping[int, float], *, greater_is_better: bool) -> Difference | None:
    """Compares two cells by the seeds that both have.

    The interval is that of Student's t for paired differences: mean ± t(0.975, n - 1) sd / √n. It assumes that the
    differences are about normally distributed.

    Args:
        ours: Seed -> value of the cell.
        theirs: Seed -> value of the other.
        greater_is_better: Which sign of a difference is a win.

    Returns:
        The comparison, or None if there is no common seed.
    """
    seeds = sorted(ours.keys() & theirs.keys())
    differences = [ours[seed] - theirs[seed] for seed in seeds]
    found = spread(differences)
    if found is None:
        return None
    if abs(found.mean) <= _ROUNDING * max(map(abs, [*ours.values(), *theirs.values()])):
        found = attrs.evolve(found, mean=0.0)  # what cancels but for the last bits
    low = high = needed = without = None
    if found.sd is None:
        without = "one seed gives no interval"
    elif found.sd <= _EQUAL * max(abs(found.mean), max(map(abs, ours.values())) * _EQUAL):
        without = "the difference is the same for every seed, which gives no interval"
    else:
        half = student_quantile(CONFIDENCE, found.n - 1) * found.sd / math.sqrt(found.n)
        low, high = found.mean - half, found.mean + half
        needed = seeds_needed(found.mean, found.sd)
    signs = [(difference > 0) - (difference < 0) for difference in differences]
    wins, losses = signs.count(1), signs.count(-1)
    if not greater_is_better:
        wins, losses = losses, wins
    return Difference(found.mean, found.sd, low, high, found.n, wins, signs.count(0), losses, without, needed)


def student_quantile(confidence: float, degrees: int) -> float:
    """The value that |t| exceeds with probability `1 - confidence`.

    Example:
        >>> round(student_quantile(0.95, 4), 3)
        2.776
    """
    from scipy.special import stdtrit

    return float(stdtrit(degrees, (1 + confidence) / 2))


def sd_interval(sd: float, n: int) -> tuple[float, float]:
    """Within which the true standard deviation lies, by the chi-squared distribution: for normal values.

    Example:
        >>> low, high = sd_interval(1.0, 5)
        >>> round(low, 3), round(high, 3)
        (0.599, 2.874)
    """
    from scipy.special import chdtri

    tail = (1 - CONFIDENCE) / 2
    return tuple(sd * math.sqrt((n - 1) / float(chdtri(n - 1, p))) for p in (tail, 1 - tail))  # type: ignore[return-value]  # two


def power_of(mean: float, sd: float, n: int) -> float:
    """How often n seeds would tell apart two cells whose differences have this mean and standard deviation.

    Of the two-sided paired t-test at the level `1 - CONFIDENCE`, by the non-central t distribution (Cohen 1988,
    chapter 2).
    """
    from scipy.special import nctdtr

    bound, shift = student_quantile(CONFIDENCE, n - 1), abs(mean) / sd * math.sqrt(n)
    beyond, below = nctdtr(n - 1, shift, bound), nctdtr(n - 1, shift, -bound)
    return float(1 - beyond + (0 if math.isnan(below) else below))


def seeds_needed(mean: float, sd: float) -> int | None:
    """The smallest number of seeds with a power of `POWER`, if the differences found are the true ones.

    Returns:
        The number, at least 2; None if it is more than `MAX_SEEDS`.
    """
    low, high = 1, 2
    while _lacks_power(mean, sd, high):
        low, high = high, high * 2
        if low >= MAX_SEEDS:
            return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (middle, high) if _lacks_power(mean, sd, middle) else (low, middle)
    return high if high <= MAX_SEEDS else None


def _lacks_power(mean: float, sd: float, n: int) -> bool:
    if abs(mean) / sd * math.sqrt(n) > 30:  # as good as certain for any n, and beyond what nctdtr computes
        return n < 2
    return power_of(mean, sd, n) < POWER


def detectable(sd: float, n: int) -> float:
    """The smallest true difference between two cells that n seeds tell apart with a power of `POWER`.

    Args:
        sd: Of one cell over seeds. The difference of two that have nothing in common but the seed's number spreads √2
            times as much; one of cells whose seeds go up and down together spreads less.
        n: Seeds of each cell.
    """
    both = sd * math.sqrt(2)
    low, high = 0.0, both
    while power_of(high, both, n) < POWER:
        high *= 2
    for _ in range(50):
        middle = (low + high) / 2
        low, high = (middle, high) if power_of(middle, both, n) < POWER else (low, middle)
    return high
