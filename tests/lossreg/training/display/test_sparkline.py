"""A curve in one line."""

from __future__ import annotations

import math
import statistics

import pytest

from lossreg.training.display.sparkline import BLOCKS, Curve, sparkline
from tests.table import for_each


@for_each("count", [1, 8, 9, 16, 100, 1000, 4097])
def test_a_curve_holds_means_of_equal_parts(count: int) -> None:
    """Each mean is that of as many values in a row as the others; all but the last values are in one."""
    curve = Curve(8)
    values = [math.sin(number) for number in range(count)]
    for value in values:
        curve.add(value)
    means = curve.means
    assert 1 <= len(means) <= 8
    stride = next(2**power for power in range(20) if count // 2**power <= 8)
    expected = [statistics.fmean(values[part * stride : (part + 1) * stride]) for part in range(count // stride)]
    assert means == pytest.approx(expected, abs=1e-12)


def test_what_is_not_finite_is_not_in_the_curve() -> None:
    """NaN and infinity have no height."""
    curve = Curve(8)
    for value in (1.0, math.nan, math.inf, 2.0):
        curve.add(value)
    assert curve.means == [1.0, 2.0]


@for_each("values", [[-1e308, 1e308], [1e-320, 1.0], [0.0, 1e-320], [-5.0, 5.0], [1e300] * 3])
def test_any_finite_values_have_heights(values: list[float]) -> None:
    """A range that no float holds is no error."""
    text = sparkline(values)
    assert len(text) == len(values)
    assert set(text) <= set(BLOCKS)
