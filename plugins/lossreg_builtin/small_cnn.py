"""A small convolutional network for pictures of any size."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn

GROUP = 8  # channels that are normalised together


class SmallCNN(nn.Sequential):
    """Convolutions of 3x3 with group normalisation and ReLU, a mean over all positions, and a linear layer.

    Each convolution but the first halves height and width. Normalisation is by groups of 8 channels (Wu and He, "Group
    Normalization", ECCV 2018), so that a batch may be of any size, and evaluation computes what training does.

    Args:
        in_channels: Channels of the picture.
        num_classes: Outputs.
        channels: Channels behind each convolution.

    Shape:
        - input: `(N, in_channels, height, width)`, floating point; height and width are at least 1.
        - output: `(N, num_classes)`, logits.

    Raises:
        ValueError: If a width is less than 1, or there is no convolution.

    Example:
        >>> import torch
        >>> model = SmallCNN(3, 5)
        >>> model(torch.zeros(2, 3, 30, 17)).shape, sum(p.numel() for p in model.parameters())
        (torch.Size([2, 5]), 98325)
    """

    def __init__(self, in_channels: int, num_classes: int, channels: Sequence[int] = (16, 32, 64, 128)) -> None:
        widths = [in_channels, *channels]
        if len(widths) < 2 or min(*widths, num_classes) < 1:
            raise ValueError(f"there is at least one convolution, and every layer is at least 1 wide, not {widths}")
        layers: list[nn.Module] = []
        for width, next_width in itertools.pairwise(widths):
            groups = next_width // GROUP if next_width % GROUP == 0 else 1
            layers += [
                nn.Conv2d(width, next_width, 3, stride=2 if layers else 1, padding=1, bias=False),
                nn.GroupNorm(groups, next_width),
                nn.ReLU(),
            ]
        super().__init__(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(widths[-1], num_classes))
