"""Which names are near a text for which nothing is found."""

from __future__ import annotations

from lossreg.registry.search import Query
from lossreg.suggestions import close_matches
from tests.table import for_each

NAMES = ["reduce_lr_on_plateau", "linear_cross_entropy", "linear_lr", "dice", "mean_dice", "cosine", "acme.cosin"]


@for_each("text", ["lion", "banana", "lin", "sophia"])
def test_what_is_not_near_is_not_named(text: str) -> None:
    """Not by a few letters that a long name happens to have, nor by a short word in it."""
    assert not [name for name in Query(text).near(NAMES) if name not in close_matches(text, NAMES)]


def test_what_errors_suggest_comes_first() -> None:
    """By the measure of "did you mean", on names without their plugin."""
    assert Query("cosne").near(NAMES) == ["cosine", "acme.cosin"]
    assert Query("dicee").near(NAMES) == ["dice", "mean_dice"]
