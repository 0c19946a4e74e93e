"""Model and loss as one module: from a batch to the number that training makes small."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lossreg.training.hardware.precision import Precision
from lossreg.training.loss.adapter import LossAdapter

_HALF = (torch.bfloat16, torch.float16)


class Objective(nn.Module):
    """The loss of a model on a batch. Its parameters are those of both.

    Args:
        model: The model.
        adapter: The loss, and what is done before it; a loss that is a module becomes the child `loss`.
        precision: In what the model computes.

    Shape:
        - inputs: `(N, *in_shape)`.
        - targets: `(N, *)`, as the data set has them.
        - output: 0-d.
    """

    def __init__(self, model: nn.Module, adapter: LossAdapter, precision: Precision) -> None:
        super().__init__()
        self.model = model
        self.loss = adapter.criterion if isinstance(adapter.criterion, nn.Module) else nn.Module()
        self.adapter = adapter
        self.precision = precision

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch."""
        return self.adapter(self.predict(inputs), targets)

    def predict(self, inputs: Tensor) -> Tensor:
        """The model's output; float32 where the model computes in 16 bits."""
        if self.precision.name == "32":
            return self.model(inputs)  # type: ignore[no-any-return]  # the contract is checked
        with self.precision.autocast():
            output: Tensor = self.model(inputs)
        return output.float() if getattr(output, "dtype", None) in _HALF else output

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, by name: the model's by its own names, the loss's behind `loss.`."""
        found = dict(self.model.named_parameters())
        found |= {f"loss.{name}": parameter for name, parameter in self.loss.named_parameters()}
        return {name: parameter for name, parameter in found.items() if parameter.requires_grad}

    @property
    def trains_loss(self) -> bool:
        """Whether the loss has parameters that are trained."""
        return any(parameter.requires_grad for parameter in self.loss.parameters())
