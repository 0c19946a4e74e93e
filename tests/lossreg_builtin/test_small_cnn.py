"""The network for pictures of any size."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

import lossreg
from tests.table import for_each


@for_each("size", [(1, 1), (7, 30), (32, 32)])
def test_pictures_of_any_size(size: tuple[int, int]) -> None:
    """A single picture of one pixel is enough, in training mode too."""
    model = lossreg.models.build("small_cnn", in_channels=3, num_classes=4).train()
    assert model(torch.rand(1, 3, *size)).shape == (1, 4)


def test_it_is_convolutions_normalisation_and_a_mean() -> None:
    """The output is that of the same layers as functions."""
    model = lossreg.models.build("small_cnn", in_channels=2, num_classes=3, channels=(8, 12))
    inputs = torch.rand(2, 2, 9, 6)
    first, last = model.state_dict()["0.weight"], model.state_dict()["3.weight"]
    head = {name.removeprefix("8."): value for name, value in model.state_dict().items() if name.startswith("8.")}
    hidden = functional.relu(functional.group_norm(functional.conv2d(inputs, first, padding=1), 1))
    hidden = functional.relu(functional.group_norm(functional.conv2d(hidden, last, stride=2, padding=1), 1))
    expected = functional.linear(hidden.mean((2, 3)), head["weight"], head["bias"])
    torch.testing.assert_close(model(inputs), expected)


@for_each("channels", [(), (0,)])
def test_a_layer_without_width(channels: tuple[int, ...]) -> None:
    """There is a convolution, and each is at least 1 wide."""
    with pytest.raises(lossreg.BuildError, match="at least"):
        lossreg.models.build("small_cnn", in_channels=1, num_classes=2, channels=channels)
