"""How images and the weights of convolutions lie in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
import torch

from lossreg.errors import ConfigError

if TYPE_CHECKING:
    from lossreg.run_spec import Layout as Request
    from lossreg.training.data.splits import Split


@attrs.frozen
class Layout:
    """How images and the weights of convolutions lie in memory.

    Attributes:
        memory_format: `torch.channels_last` or `torch.contiguous_format`.
        reason: Why.
    """

    memory_format: torch.memory_format
    reason: str

    @property
    def name(self) -> str:
        """`channels_last` or `contiguous_format`."""
        return str(self.memory_format).removeprefix("torch.")

    @property
    def is_channels_last(self) -> bool:
        """Whether the channels of a position lie side by side."""
        return self.memory_format is torch.channels_last


def choose_layout(
    request: Request, model: torch.nn.Module, inputs: torch.Tensor, device: torch.device, contiguous: str | None
) -> Layout:
    """Decides on the layout that is tried first: the one that is requested, else that in which a model is fastest.

    Args:
        request: `auto`, `contiguous` or `channels_last`.
        model: The model.
        inputs: Some of its inputs, `(N, *in_shape)`.
        device: Where it computes.
        contiguous: Why weights have to stay contiguous, or None.

    Raises:
        ConfigError: If channels_last is requested for inputs that are not images.
    """
    if request == "channels_last" and inputs.ndim != 4:
        raise ConfigError(
            "layout (--layout) channels_last is a layout of images (N, channels, height, width), but a batch of this "
            f"data set has the shape {tuple(inputs.shape)}; write auto or contiguous"
        )
    if request != "auto":
        is_last = request == "channels_last"
        return Layout(torch.channels_last if is_last else torch.contiguous_format, "as requested")
    if inputs.ndim != 4 or not any(isinstance(module, torch.nn.Conv2d) for module in model.modules()):
        return Layout(torch.contiguous_format, "no two-dimensional convolution of images")
    if contiguous is not None:
        return Layout(torch.contiguous_format, contiguous)
    if device.type not in ("cpu", "cuda"):
        return Layout(torch.contiguous_format, f"channels-last is not known to be faster on {device.type}")
    return Layout(torch.channels_last, "two-dimensional convolutions are faster in it")


def apply_layout(layout: Layout, model: torch.nn.Module, splits: Iterable[Split]) -> None:
    """Lays out the four-dimensional weights of a model, and the images of its splits; all else stays as it is."""
    for parameter in model.parameters():
        if parameter.ndim == 4:  # channels_last exists for no other number of dimensions
            parameter.data = parameter.data.to(memory_format=layout.memory_format)
    for split in splits:
        split.set_memory_format(layout.memory_format)
