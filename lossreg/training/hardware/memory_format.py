"""How images and the weights of convolutions lie in memory."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

import attrs
import torch

if TYPE_CHECKING:
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


def choose_layout(model: torch.nn.Module, inputs: torch.Tensor, device: torch.device, *, closure: bool) -> Layout:
    """Decides on the layout in which a model is fastest.

    Args:
        model: The model.
        inputs: Some of its inputs, `(N, *in_shape)`.
        device: Where it computes.
        closure: Whether the optimizer's step takes a closure.
    """
    if inputs.ndim != 4 or not any(isinstance(module, torch.nn.Conv2d) for module in model.modules()):
        return Layout(torch.contiguous_format, "no two-dimensional convolution of images")
    if closure:  # LBFGS takes views of gradients that only the usual layout has
        return Layout(torch.contiguous_format, "the optimizer takes a closure")
    if device.type not in ("cpu", "cuda"):
        return Layout(torch.contiguous_format, f"channels-last is not known to be faster on {device.type}")
    return Layout(torch.channels_last, "two-dimensional convolutions are faster in it")


def apply_layout(layout: Layout, model: torch.nn.Module, splits: Iterable[Split]) -> None:
    """Lays out the weights of a model and the images of its splits."""
    if layout.memory_format is torch.channels_last:
        model.to(memory_format=torch.channels_last)
        for split in splits:
            split.set_memory_format(torch.channels_last)
