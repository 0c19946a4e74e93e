"""The public names of lossreg."""

from __future__ import annotations

import pytest

import lossreg
from tests.table import for_each


@for_each("name", sorted(set(lossreg.__all__)))
def test_every_public_name_resolves(name: str) -> None:
    """Each name of `lossreg.__all__` is there."""
    assert getattr(lossreg, name) is not None
    assert name in dir(lossreg)


def test_a_name_that_is_not_public_is_an_attribute_error() -> None:
    """Asking lossreg for something else fails as for any module."""
    with pytest.raises(AttributeError, match="no attribute 'nonsense'"):
        _ = lossreg.nonsense
