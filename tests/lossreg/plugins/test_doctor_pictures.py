"""What the doctor says of losses of pictures and volumes, which take nothing else."""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor

from lossreg import Loss
from lossreg.plugins.provenance import Provenance
from lossreg.registry.entry import RegistryEntry
from lossreg.training.trial.component import try_component
from tests.table import for_each


class OfPictures(torch.nn.CrossEntropyLoss):
    """Cross-entropy for a number of dimensions, wrong by a factor."""

    def __init__(self, dimensions: int = 4, factor: float = 1.0) -> None:
        super().__init__()
        self.dimensions, self.factor = dimensions, factor

    def forward(self, input: Tensor, target: Tensor) -> Tensor:  # noqa: A002  # as torch calls it
        """The loss."""
        if input.ndim != self.dimensions:
            raise ValueError(f"{self.dimensions} dimensions are needed")
        return self.factor * super().forward(input, target)


def problems(**defaults: Any) -> list[str]:
    """What is wrong with it."""
    record = Loss("of_pictures", OfPictures, defaults=defaults, input="logits", target="index")
    return try_component(RegistryEntry(record, Provenance("local")))


@for_each("dimensions", [4, 5])
def test_a_loss_of_pictures_or_volumes_is_well(dimensions: int) -> None:
    """It is tried on those where it fails on samples without pixels."""
    assert problems(dimensions=dimensions) == []


def test_what_is_wrong_with_it_is_found_there() -> None:
    """A value that is not finite is one on pictures, too; one that takes nothing is told of the first batch."""
    assert problems(factor=float("inf"))[0].startswith("it failed on output (8, 3) and target (8,)")
    assert problems(dimensions=9) == [
        "it failed on output (8, 3) and target (8,), torch.int64: ValueError: 9 dimensions are needed"
    ]
