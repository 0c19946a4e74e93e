"""The small convolutional network of the MNIST tutorials."""

from __future__ import annotations

from collections.abc import Sequence

from torch import nn

LARGEST_KERNEL = 9  # 28 -> 20 -> 10 -> 2 -> 1


class MnistCNN(nn.Sequential):
    """Two convolutions with max-pooling, then two linear layers; 121,930 parameters for 1 channel and 10 classes.

    With `channels=(16, 32)`, `kernel_size=5`, `hidden=128` and `activation=True` it is a LeNet (LeCun and others 1998)
    with ReLU and max-pooling.

    Args:
        in_channels: Channels of the image.
        num_classes: Outputs.
        channels: Channels behind the first and the second convolution.
        hidden: Width of the hidden linear layer.
        kernel_size: Height and width of the convolutions' kernels, in pixels; 1 to 9.
        activation: Whether a ReLU follows each convolution, too; the tutorials have none there.

    Shape:
        - input: `(N, in_channels, 28, 28)`, floating point.
        - output: `(N, num_classes)`, logits.

    Raises:
        ValueError: If a width is less than 1, there are not two of `channels`, or a kernel does not fit.

    Example:
        >>> import torch
        >>> model = MnistCNN()
        >>> model(torch.zeros(2, 1, 28, 28)).shape, sum(p.numel() for p in model.parameters())
        (torch.Size([2, 10]), 121930)
    """

    def __init__(
        self,
        in_channels: int = 1,
        num_classes: int = 10,
        channels: Sequence[int] = (32, 64),
        hidden: int = 64,
        kernel_size: int = 3,
        activation: bool = False,
    ) -> None:
        if len(channels) != 2:
            raise ValueError(f"channels are two numbers, those of each convolution, not {list(channels)}")
        if min(in_channels, num_classes, *channels, hidden) < 1:
            raise ValueError("every layer is at least 1 wide")
        if not 1 <= kernel_size <= LARGEST_KERNEL:
            raise ValueError(f"kernel_size is 1 to {LARGEST_KERNEL} for 28x28 images, not {kernel_size}")
        first, second = channels
        size = ((28 - kernel_size + 1) // 2 - kernel_size + 1) // 2  # 28 -> 26 -> 13 -> 11 -> 5 for kernels of 3
        # Max-pooling and ReLU commute; behind the pooling there is a quarter to compute.
        rectified = [nn.ReLU] if activation else []
        super().__init__(
            nn.Conv2d(in_channels, first, kernel_size),
            nn.MaxPool2d(2),
            *(layer() for layer in rectified),
            nn.Conv2d(first, second, kernel_size),
            nn.MaxPool2d(2),
            *(layer() for layer in rectified),
            nn.Flatten(),
            nn.Linear(second * size**2, hidden),
            nn.ReLU(),
            nn.Linear(hidden, num_classes),
        )
