"""A Learner of fastai whose loss, optimizer and schedule are texts."""

from __future__ import annotations

import torch
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.metrics import accuracy
from torch.utils.data import TensorDataset

import lossreg
from lossreg.adapters.fastai import use_parts


def main(epochs: int = 3, samples: int = 512) -> Learner:
    """Trains on a part of the digits."""
    inputs, targets = lossreg.datasets.build("digits").train
    split = TensorDataset(inputs[:samples], targets[:samples])
    loaders = DataLoaders(DataLoader(split, bs=64, shuffle=True), DataLoader(split, bs=64))
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10))
    parts = lossreg.parts(loss="dice", optimizer="adamw(lr=0.01)", scheduler="cosine", task="classification")
    learn = use_parts(Learner(loaders, model, loss_func=parts.loss, metrics=accuracy), parts)
    with learn.no_bar():
        learn.fit(epochs)
    return learn


if __name__ == "__main__":
    main()
