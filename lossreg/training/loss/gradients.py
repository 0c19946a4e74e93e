"""What the gradients of a first batch show: which parameters have none, and whose are sparse."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

import torch
from torch import Tensor

from lossreg.plugins.isolation import is_from_outside

if TYPE_CHECKING:
    from lossreg.training.loss.objective import Objective

_TABLES = (torch.nn.Embedding, torch.nn.EmbeddingBag)


class SparseGradient(NamedTuple):
    """A parameter whose gradient is sparse.

    Attributes:
        name: The parameter's.
        dimensions: How many dimensions of the gradient are sparse; 1 for the rows of an embedding.
    """

    name: str
    dimensions: int


def sparse_gradients(objective: Objective, value: Tensor | None = None) -> tuple[SparseGradient, ...]:
    """The parameters whose gradients are sparse, whatever made them so.

    What a batch left without a gradient is judged by its module: `nn.Embedding(sparse=True)`.

    Args:
        objective: Its parameters have the gradients of a batch.
        value: The loss of the batch, where they have not, and must not get them.
    """
    parameters = objective.trainable()
    gradients = [one.grad for one in parameters.values()]
    if value is not None:
        try:
            gradients = list(torch.autograd.grad(value, list(parameters.values()), allow_unused=True))
        except BaseException as error:  # the run itself says that it has no gradients
            if is_from_outside(error):
                raise
    tables = {id(part.weight) for part in objective.modules() if isinstance(part, _TABLES) and part.sparse}
    found = []
    for (name, parameter), gradient in zip(parameters.items(), gradients, strict=True):
        if gradient is None and id(parameter) in tables:
            found.append(SparseGradient(name, 1))
        elif gradient is not None and gradient.is_sparse:
            found.append(SparseGradient(name, gradient.sparse_dim()))
    return tuple(found)
