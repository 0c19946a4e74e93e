"""Classes that are there to be derived from."""

from __future__ import annotations

import abc

import pytest

from lossreg.inputs.tables import TableFile
from lossreg_builtin.mean_errors import MeanError
from lossreg_builtin.sums import SummedMetric
from tests.table import for_each

TABLE = [(TableFile, "read", ("a", ["b"])), (MeanError, "of_elements", ()), (SummedMetric, "zeros", ())]


@for_each("base, method, given", TABLE)
def test_a_base_that_lacks_a_method_cannot_be_made(base: abc.ABCMeta, method: str, given: tuple[object, ...]) -> None:
    """The error names the method that a derived class has."""
    with pytest.raises(TypeError, match=rf"abstract class {base.__name__} .*{method}"):
        base(*given)
