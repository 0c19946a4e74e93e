"""A target that no value of its metric can be is an error that says which values there are."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from tests.table import for_each

SMALL: dict[str, Any] = {"model": "mlp", "limit_train": 64, "limit_test": 8}


@for_each(
    ("target", "said"),
    [
        ("test_accuracy>=2", "test_accuracy is a share from 0 to 1: for 2% write 'test_accuracy>=0.02'"),
        ("test_accuracy>=99", "test_accuracy is a share from 0 to 1: for 99% write 'test_accuracy>=0.99'"),
        ("test_accuracy>=1.5e3", "target (--target) is test_accuracy>=1500, but test_accuracy is a share from 0 to 1"),
        ("test_accuracy>=-0.5", "test_accuracy is a share from 0 to 1"),
    ],
)
def test_an_accuracy_is_a_share(target: str, said: str) -> None:
    """What is beyond 0 to 1 is refused, and a percentage is told as the share that it is."""
    with pytest.raises(lossreg.ConfigError) as caught:
        lossreg.plan(target=target, **SMALL)
    assert said in caught.value.message
    assert caught.value.setting == "target"


def test_an_error_is_not_negative() -> None:
    """A mean absolute error of less than 0 is never reached."""
    with pytest.raises(lossreg.ConfigError, match="test_mean_absolute_error is 0 or more"):
        lossreg.plan(data="diabetes", target="test_mean_absolute_error<=-1")


@for_each("target", ["test_accuracy>=1", "test_accuracy>=0", "test_loss<=-3"])
def test_the_ends_of_a_range_are_in_it(target: str) -> None:
    """The bounds themselves are values of a metric, and a loss may be any number."""
    lossreg.plan(target=target, **SMALL)
