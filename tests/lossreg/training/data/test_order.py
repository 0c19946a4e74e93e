"""The order of samples and their seeds."""

from __future__ import annotations

import numpy as np

from lossreg.training.data.order import sample_order
from lossreg.training.seeds import sample_seeds
from tests.table import for_each


def test_order_and_seeds_are_functions_of_seed_and_epoch() -> None:
    """The same seed and epoch give the same, others give others, and large seeds count whole."""
    assert sample_order(1, 2, 100).equal(sample_order(1, 2, 100))
    assert sorted(sample_order(1, 2, 100).tolist()) == list(range(100))
    assert not sample_order(1, 2, 100).equal(sample_order(1, 3, 100))
    assert not sample_order(1, 2, 100).equal(sample_order(1 + 2**32, 2, 100))
    assert sample_seeds(1, 2, 100).equal(sample_seeds(1, 2, 100))
    assert not sample_seeds(1, 2, 100).equal(sample_seeds(1, 3, 100))
    assert sample_seeds(1, 2, 50).equal(sample_seeds(1, 2, 100)[:50])


@for_each(("seed", "epoch"), [(0, 0), (1, 2), (2**40, 7)])
def test_seeds_are_drawn_from_another_stream_than_the_order(seed: int, epoch: int) -> None:
    """No seed of a sample is a number that the generator of the order draws: the two have nothing in common."""
    drawn = np.random.default_rng([seed, epoch]).integers(2**32, size=1000)
    assert not set(sample_seeds(seed, epoch, 1000).tolist()) & set(drawn.tolist())
