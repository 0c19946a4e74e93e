"""The small convolutional network of the MNIST tutorials."""

from __future__ import annotations

from torch import nn


class MnistCNN(nn.Sequential):
    """Two 3x3 convolutions with max-pooling, then two linear layers; 121,930 parameters for 1 channel and 10 classes.

    Args:
        in_channels: Channels of the image.
        num_classes: Outputs.

    Shape:
        - input: `(N, in_channels, 28, 28)`, floating point.
        - output: `(N, num_classes)`, logits.

    Example:
        >>> import torch
        >>> model = MnistCNN()
        >>> model(torch.zeros(2, 1, 28, 28)).shape, sum(p.numel() for p in model.parameters())
        (torch.Size([2, 10]), 121930)
    """

    def __init__(self, in_channels: int = 1, num_classes: int = 10) -> None:
        super().__init__(
            nn.Conv2d(in_channels, 32, 3),  # 28 -> 26
            nn.MaxPool2d(2),  # 26 -> 13
            nn.Conv2d(32, 64, 3),  # 13 -> 11
            nn.MaxPool2d(2),  # 11 -> 5
            nn.Flatten(),
            nn.Linear(64 * 5 * 5, 64),
            nn.ReLU(),
            nn.Linear(64, num_classes),
        )
