"""Spread, paired differences and numbers of seeds, against scipy."""

from __future__ import annotations

import math

import numpy as np
import pytest
import scipy  # which imports its parts when they are first used

from lossreg.comparison.statistics import (
    detectable,
    paired,
    power_of,
    sd_interval,
    seeds_needed,
    spread,
    student_quantile,
)
from tests.table import for_each

OURS = {0: 0.961, 1: 0.958, 2: 0.967, 3: 0.955, 4: 0.963}
THEIRS = {0: 0.952, 1: 0.957, 2: 0.955, 3: 0.956, 4: 0.949}
DIFFERENCES = np.array([OURS[seed] - THEIRS[seed] for seed in OURS])


def test_mean_and_deviation_are_numpys() -> None:
    """The deviation is the one that divides by n - 1."""
    found = spread(list(OURS.values()))
    assert found is not None
    assert found.mean == pytest.approx(np.mean(list(OURS.values())))
    assert found.sd == pytest.approx(np.std(list(OURS.values()), ddof=1))


def test_one_value_has_no_deviation() -> None:
    """One seed has a mean, and nothing more."""
    found = spread([0.5])
    assert found is not None
    assert (found.mean, found.sd, found.n) == (0.5, None, 1)


def test_the_interval_is_that_of_scipys_paired_t_test() -> None:
    """The 95% interval of the mean difference, as scipy computes it from the same pairs."""
    found = paired(OURS, THEIRS, greater_is_better=True)
    reference = scipy.stats.ttest_rel(list(OURS.values()), list(THEIRS.values())).confidence_interval(0.95)
    assert found is not None
    assert found.low == pytest.approx(reference.low)
    assert found.high == pytest.approx(reference.high)


def test_pairs_are_of_the_same_seed() -> None:
    """A seed that only one cell has is left out, and the order of seeds does not matter."""
    found = paired(dict(reversed(OURS.items())), {**THEIRS, 9: 0.1}, greater_is_better=True)
    assert found == paired(OURS, THEIRS, greater_is_better=True)


def test_wins_are_counted_by_what_is_better() -> None:
    """For an accuracy a greater value wins, for a loss a smaller one."""
    more, less = paired(OURS, THEIRS, greater_is_better=True), paired(OURS, THEIRS, greater_is_better=False)
    assert more is not None
    assert less is not None
    assert (more.wins, more.ties, more.losses) == (4, 0, 1)
    assert (less.wins, less.ties, less.losses) == (1, 0, 4)


def test_one_seed_has_no_interval() -> None:
    """An interval for one seed is refused, with the reason."""
    found = paired({0: 0.9}, {0: 0.8}, greater_is_better=True)
    assert found is not None
    assert (found.low, found.high, found.without) == (None, None, "one seed gives no interval")
    assert not found.is_told_apart


def test_equal_differences_have_no_interval() -> None:
    """Two seeds with the same difference say nothing of chance: an interval without width would claim certainty."""
    found = paired({0: 0.90, 1: 0.80}, {0: 0.85, 1: 0.75}, greater_is_better=True)
    assert found is not None
    assert found.low is None
    assert not found.is_told_apart


def test_no_common_seed_is_no_comparison() -> None:
    """Cells without a common seed are not compared."""
    assert paired({0: 0.9}, {1: 0.8}, greater_is_better=True) is None


@for_each("degrees", [1, 2, 9, 500])
def test_the_quantile_is_scipys(degrees: int) -> None:
    """Student's t with few and with many degrees of freedom."""
    assert student_quantile(0.95, degrees) == pytest.approx(scipy.stats.t.ppf(0.975, degrees))


@pytest.mark.parametrize(("mean", "sd", "n"), [(0.5, 1.0, 10), (0.1, 1.0, 100), (2.0, 1.0, 3)])
def test_the_power_is_that_of_the_non_central_t(mean: float, sd: float, n: int) -> None:
    """The chance that |t| exceeds its bound, from scipy's distribution."""
    bound, shift = scipy.stats.t.ppf(0.975, n - 1), mean / sd * math.sqrt(n)
    expected = scipy.stats.nct.sf(bound, n - 1, shift) + scipy.stats.nct.cdf(-bound, n - 1, shift)
    assert power_of(mean, sd, n) == pytest.approx(expected, rel=1e-6)


def test_the_power_is_what_simulated_t_tests_have() -> None:
    """Of 20,000 paired t-tests on normal values so many reject."""
    draws = np.random.default_rng(0).normal(0.8, 1.0, size=(20_000, 8))
    rejected = np.mean(scipy.stats.ttest_1samp(draws, 0.0, axis=1).pvalue < 0.05)
    assert power_of(0.8, 1.0, 8) == pytest.approx(rejected, abs=0.015)  # four standard errors


@pytest.mark.parametrize(("effect", "expected"), [(0.5, 34), (0.8, 15), (1.0, 10)])
def test_the_number_of_seeds_is_that_of_power_tables(effect: float, expected: int) -> None:
    """Of the two-sided paired t-test at 5% with a power of 80%, as G*Power gives it."""
    assert seeds_needed(effect, 1.0) == expected


@pytest.mark.parametrize(("mean", "sd"), [(1e-9, 1.0), (0.0, 1.0)])
def test_a_number_of_seeds_that_nobody_runs_is_none(mean: float, sd: float) -> None:
    """More than 10,000 seeds are no advice."""
    assert seeds_needed(mean, sd) is None


def test_an_overwhelming_difference_needs_two_seeds() -> None:
    """No fewer than two give an interval."""
    assert seeds_needed(1.0, 1e-6) == 2


def test_the_detectable_difference_has_the_power() -> None:
    """For the difference that 5 seeds detect, the power with √2 of the cell's deviation is 80%."""
    value = detectable(0.01, 5)
    bound, shift = scipy.stats.t.ppf(0.975, 4), value / (0.01 * math.sqrt(2)) * math.sqrt(5)
    power = scipy.stats.nct.sf(bound, 4, shift) + scipy.stats.nct.cdf(-bound, 4, shift)
    assert power == pytest.approx(0.8, abs=1e-4)


def test_the_interval_of_the_deviation_is_that_of_chi_squared() -> None:
    """By scipy's quantiles: (n - 1) sd² / χ²."""
    low, high = sd_interval(0.3, 7)
    assert low == pytest.approx(0.3 * math.sqrt(6 / scipy.stats.chi2.ppf(0.975, 6)))
    assert high == pytest.approx(0.3 * math.sqrt(6 / scipy.stats.chi2.ppf(0.025, 6)))
