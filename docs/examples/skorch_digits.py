"""A grid over the texts of losses and optimizers, with skorch."""

from __future__ import annotations

import torch
from sklearn.model_selection import GridSearchCV

import lossreg
from lossreg.adapters.skorch import PartsClassifier


class Module(torch.nn.Sequential):
    """Two layers for the digits."""

    def __init__(self) -> None:
        super().__init__(torch.nn.Flatten(), torch.nn.Linear(784, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))


def main(epochs: int = 3, samples: int = 128) -> GridSearchCV:
    """Searches."""
    inputs, targets = lossreg.datasets.build("digits").train
    torch.manual_seed(0)
    net = PartsClassifier(Module, scheduler="cosine", max_epochs=epochs, train_split=None, verbose=0)
    grid = {"criterion": ["cross_entropy", "dice"], "optimizer": ["sgd(lr=0.1)", "adamw(lr=0.01)"]}
    search = GridSearchCV(net, grid, cv=2, scoring="accuracy")
    return search.fit(inputs[:samples].numpy(), targets[:samples].numpy())


if __name__ == "__main__":
    main()
