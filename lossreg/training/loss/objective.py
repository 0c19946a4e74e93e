"""Model and loss as one module: from a batch to the number that training makes small."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Self

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
        frozen: Modules of the model that stay in evaluation mode.
        total: What computes the value that is minimised, if it is not the loss itself: the loss as a sum, where its
            mean over a part of a step says too little.

    Shape:
        - inputs: `(N, *in_shape)`.
        - targets: `(N, *)`, as the data set has them.
        - output: 0-d.
    """

    def __init__(
        self,
        model: nn.Module,
        adapter: LossAdapter,
        precision: Precision,
        frozen: Sequence[nn.Module] = (),
        total: LossAdapter | None = None,
    ) -> None:
        super().__init__()
        self.model = model
        self.loss = adapter.criterion if isinstance(adapter.criterion, nn.Module) else nn.Module()
        self.adapter = adapter
        self.precision = precision
        self.frozen = tuple(frozen)
        self._minimised = adapter if total is None else total
        if total is not None and isinstance(total.criterion, nn.Module):
            self._total = total.criterion  # a child, so that it is in the mode of the others

    def forward(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of a batch, or its total."""
        return self._minimised(self.predict(inputs), targets)

    def train(self, mode: bool = True) -> Self:
        """Sets the mode of all modules but the frozen ones, which stay in evaluation mode."""
        super().train(mode)
        for module in self.frozen:
            module.training = False
        return self

    def predict(self, inputs: Tensor) -> Tensor:
        """The model's output; float32 where the model computes in 16 bits."""
        if self.precision.name == "32":
            return self.model(inputs)  # type: ignore[no-any-return]  # the contract is checked
        with self.precision.autocast():
            output: Tensor = self.model(inputs)
        return output.float() if getattr(output, "dtype", None) in _HALF else output

    def trainable(self) -> dict[str, nn.Parameter]:
        """The parameters that are trained, each once: the model's by its own names, the loss's behind `loss.`.

        A parameter that the two share is the model's.
        """
        return {name: parameter for name, parameter in self.named().items() if parameter.requires_grad}

    def named(self) -> dict[str, nn.Parameter]:
        """All parameters, by the same names; those that are not trained, too."""
        return self.of_model() | {f"loss.{name}": parameter for name, parameter in self._own_of_loss()}

    def of_model(self, *, remove_duplicate: bool = True) -> dict[str, nn.Parameter]:
        """The parameters of the model, by the same names.

        Args:
            remove_duplicate: Whether one that is in several places has its first name alone.
        """
        return dict(self.model.named_parameters(remove_duplicate=remove_duplicate))

    def itself(self, module: nn.Module) -> nn.Module:
        """A module of the model, as the names of parameters have it."""
        return module

    def further_names(self) -> dict[str, str]:
        """The further names of parameters that are in several places -> their name in `trainable()`."""
        first = {id(parameter): name for name, parameter in self.trainable().items()}
        every = self.of_model(remove_duplicate=False)
        every |= {f"loss.{name}": one for name, one in self.loss.named_parameters(remove_duplicate=False)}
        return {name: first[id(one)] for name, one in every.items() if name != first.get(id(one), name)}

    @property
    def trains_loss(self) -> bool:
        """Whether the loss has parameters of its own that are trained."""
        return any(parameter.requires_grad for _, parameter in self._own_of_loss())

    def _own_of_loss(self) -> Iterator[tuple[str, nn.Parameter]]:
        if next(self.loss.parameters(), None) is None:
            return iter(())
        of_model = {id(parameter) for parameter in self.model.parameters()}
        return ((name, one) for name, one in self.loss.named_parameters() if id(one) not in of_model)

    def loss_state(self) -> dict[str, Any]:
        """The loss's `state_dict()` without the tensors that are the model's, too."""
        of_model = {id(value) for value in self.model.state_dict(keep_vars=True).values()}
        kept = self.loss.state_dict(keep_vars=True).items()
        return {name: value for name, value in kept if id(value) not in of_model}
