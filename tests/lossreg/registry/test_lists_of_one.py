"""One value in place of a list of such: the message has the list as it is written."""

from __future__ import annotations

import pytest

import lossreg
from tests.table import for_each


@for_each(
    ("text", "said"),
    [
        ("mlp(hidden=4)", "mlp: hidden=4 does not fit hidden: Sequence[int]; a list belongs there: hidden=[4]"),
        ("mlp(hidden='a')", "mlp: hidden='a' does not fit hidden: Sequence[int]"),
        ("mlp(hidden=True)", "mlp: hidden=True does not fit hidden: Sequence[int]"),
    ],
)
def test_a_number_in_place_of_a_list(text: str, said: str) -> None:
    """A number that the list may hold is one of it; what it may not hold is no list."""
    with pytest.raises(lossreg.ParameterError) as caught:
        lossreg.models.build(text, in_features=2, num_classes=2)
    assert str(caught.value) == said
