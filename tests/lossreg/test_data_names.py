"""What a data set says of its classes, its columns and its files."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from lossreg import Column, Data, DataError
from tests.table import for_each

INPUTS, TARGETS = torch.rand(4, 3), torch.tensor([0, 1, 0, 1])


def make(**facts: Any) -> Data:
    """A classification of two classes, with three numbers."""
    both = INPUTS, TARGETS
    return Data(both, both, "classification", (3,), num_classes=2, **facts)


@for_each(
    ("facts", "expected"),
    [
        ({"class_names": ["a"]}, "class_names has 1 names, and the data set 2 classes"),
        ({"class_names": ["a", "a"]}, "class_names has 'a' twice"),
        ({"class_names": "ab"}, "class_names is a list of texts, not 'ab'"),
        ({"class_names": [0, 1]}, r"class_names is a list of texts, not \(0, 1\)"),
        ({"columns": [Column("a"), Column("b")]}, r"columns make 2 numbers of a row, and in_shape is \(3,\)"),
        ({"columns": ["a", "b", "c"]}, r"columns is a list of lossreg\.Column"),
        ({"source": {"files": {1, 2}}}, "source is a mapping of values that JSON has"),
        ({"source": {"share": float("nan")}}, "source is a mapping of values that JSON has"),
    ],
)
def test_what_does_not_fit_is_refused(facts: dict[str, Any], expected: str) -> None:
    """The error names the field and what it is."""
    with pytest.raises(DataError, match=expected):
        make(**facts)


def test_a_regression_has_no_classes() -> None:
    """Names of classes are for a classification or a segmentation."""
    both = INPUTS, INPUTS[:, :1]
    with pytest.raises(DataError, match="and the data set no classes"):
        Data(both, both, "regression", (3,), out_features=1, class_names=["a"])


@for_each("column", [Column("a"), Column("b", ["x", "y"], optional=True)])
def test_a_column_comes_back_from_json(column: Column) -> None:
    """What `to_json` gives is read again; anything else is None."""
    assert Column.from_json(column.to_json()) == column
    others: list[Any] = [None, [], {}, {"name": 1}, {"name": "a", "categories": 3}, {"name": "a", "optional": "no"}]
    assert [Column.from_json(other) for other in others] == [None] * len(others)


@for_each("arguments", [(1,), ("a", ("x", "x")), ("a", ()), ("a", None, 1)])
def test_a_column_that_is_none(arguments: tuple[Any, ...]) -> None:
    """A column has a name, and categories that differ."""
    with pytest.raises(DataError):
        Column(*arguments)
