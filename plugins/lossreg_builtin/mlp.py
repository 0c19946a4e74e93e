"""A multi-layer perceptron."""

from __future__ import annotations

import itertools
from collections.abc import Sequence

from torch import nn


class MLP(nn.Sequential):
    """Linear layers with ReLU between them, over the flattened input.

    Args:
        in_features: Numbers in one input.
        out_features: Numbers in one output.
        hidden: Width of each hidden layer; empty is one linear map.

    Shape:
        - input: `(N, *)` with `in_features` numbers a sample, floating point.
        - output: `(N, out_features)`.

    Raises:
        ValueError: If a width is less than 1.

    Example:
        >>> import torch
        >>> MLP(784, 10)(torch.zeros(2, 1, 28, 28)).shape
        torch.Size([2, 10])
    """

    def __init__(self, in_features: int, out_features: int, hidden: Sequence[int] = (64, 64)) -> None:
        widths = [in_features, *hidden]
        if min(*widths, out_features) < 1:
            raise ValueError(f"every layer is at least 1 wide, not {[*widths, out_features]}")
        layers: list[nn.Module] = [nn.Flatten()]
        for width, next_width in itertools.pairwise(widths):
            layers += [nn.Linear(width, next_width), nn.ReLU()]
        super().__init__(*layers, nn.Linear(widths[-1], out_features))
