"""How a data set says in which scale its numbers are."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import pytest
import torch

import lossreg
from lossreg import Data, Scaling
from tests.table import for_each

INPUTS = torch.zeros(4, 3, 5, 5)


def images(**facts: Any) -> Data:
    """A classification of colour pictures."""
    split = INPUTS, torch.zeros(4).long()
    return Data(split, split, "classification", (3, 5, 5), num_classes=2, **facts)


def test_numbers_of_any_kind() -> None:
    """One number, several, and those of numpy and torch are floats."""
    assert Scaling(1, np.array([2, 3])) == Scaling((1.0,), (2.0, 3.0))
    assert Scaling(np.float32(0.5), torch.tensor([2.0])) == Scaling(0.5, 2.0)
    assert Scaling() == Scaling(0.0, 1.0)


@for_each(
    "facts",
    [
        {"std": 0}, {"std": (1, -1)}, {"mean": float("nan")}, {"mean": ()}, {"mean": "a"}, {"std": None},
        {"mean": [[1, 2]]},
    ],
    ids=str,
)  # fmt: skip
def test_what_is_no_scaling(facts: dict[str, Any]) -> None:
    """A standard deviation is above 0, and all are finite numbers."""
    with pytest.raises(lossreg.DataError, match=f"{next(iter(facts))} of a Scaling is a number"):
        Scaling(**facts)


def test_json_holds_it() -> None:
    """It comes back from JSON, and what is none of it is None."""
    one = Scaling((0.25, 1 / 3), 2)
    assert Scaling.from_json(json.loads(json.dumps(one.to_json()))) == one
    for other in (None, 3, {}, {"mean": [1.0]}, {"mean": [1.0], "std": [0.0]}, {"mean": ["a"], "std": [1.0]}):
        assert Scaling.from_json(other) is None


def test_there_is_a_number_for_each_channel() -> None:
    """One for all, or one for each; any other count is an error."""
    assert images(input_scaling=Scaling((1, 2, 3), 2)).input_scaling == Scaling((1, 2, 3), 2)
    with pytest.raises(lossreg.DataError, match="input_scaling has one number, or 3, one for each"):
        images(input_scaling=Scaling((1, 2), 2))
    with pytest.raises(lossreg.DataError, match="input_scaling is a lossreg"):
        images(input_scaling=(0, 1))
    with pytest.raises(lossreg.DataError, match="target_scaling is for a regression"):
        images(target_scaling=Scaling())


def test_the_built_in_data_sets_say_it() -> None:
    """The digits are in [0, 1]; the diabetes table scaled back has the whole numbers of the file."""
    assert lossreg.datasets.build("digits").input_scaling == Scaling()
    data = lossreg.datasets.build("diabetes")
    assert data.input_scaling is not None
    assert data.target_scaling is not None
    targets = data.train[1].double() * data.target_scaling.std[0] + data.target_scaling.mean[0]
    assert targets[:4].flatten().tolist() == pytest.approx([151, 75, 141, 206], abs=1e-4)
    ages = data.train[0][:, 0].double() * data.input_scaling.std[0] + data.input_scaling.mean[0]
    assert ages[:4].tolist() == pytest.approx([59, 48, 72, 24], abs=1e-5)
