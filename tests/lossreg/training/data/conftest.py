"""Images that are read one by one, and what trains on them."""

from __future__ import annotations

import random
from collections.abc import Callable
from typing import Any, Protocol

import numpy as np
import pytest
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from lossreg import Data


class Images(Dataset[Any]):
    """Colour images, read one by one, with a random shift that each of three generators decides."""

    def __init__(self, count: int = 50, *, shift: bool = True) -> None:
        generator = torch.Generator().manual_seed(0)
        self.images = torch.rand(count, 3, 8, 8, generator=generator)
        self.targets = torch.randint(4, (count,), generator=generator)
        self.shift = shift

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        image = self.images[index]
        if self.shift:
            image = image * (random.random() + np.random.rand()) + torch.rand(())  # noqa: S311  # no secret
        return image, int(self.targets[index])


class Spoilt(Images):
    """Such images, of which one is something else."""

    def __init__(self, index: int, instead: Callable[[], Any]) -> None:
        super().__init__()
        self.index, self.instead = index, instead

    def __getitem__(self, index: int) -> Any:
        return self.instead() if index == self.index else super().__getitem__(index)


class Pictures(Protocol):
    """A classification of such images."""

    def __call__(self, train: Any = None, test: Any = None) -> Data:
        """Takes other splits than those of random and of still images."""


@pytest.fixture
def images() -> type[Images]:
    """Makes a split of images."""
    return Images


@pytest.fixture
def spoilt() -> type[Spoilt]:
    """Makes a split in which one sample is what a function returns, or raises."""
    return Spoilt


@pytest.fixture
def pictures() -> Pictures:
    """Makes a classification of images: random ones to train on, and still ones to test."""

    def make(train: Any = None, test: Any = None) -> Data:
        splits = Images() if train is None else train, Images(20, shift=False) if test is None else test
        return Data(*splits, "classification", (3, 8, 8), num_classes=4)

    return make


@pytest.fixture
def convolution() -> Callable[[], nn.Module]:
    """Makes a small network for the images, always the same, with dropout, which draws random numbers of its own."""

    def make() -> nn.Module:
        torch.manual_seed(1)
        return nn.Sequential(nn.Conv2d(3, 4, 3), nn.ReLU(), nn.Dropout(), nn.Flatten(), nn.Linear(144, 4))

    return make
