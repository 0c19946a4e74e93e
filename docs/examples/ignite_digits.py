"""A trainer of Ignite whose loss, optimizer and schedule are texts."""

from __future__ import annotations

import torch
from ignite.engine import create_supervised_trainer
from torch.utils.data import DataLoader, TensorDataset

import lossreg
from lossreg.adapters.ignite import PartsScheduler


def main(epochs: int = 2, samples: int = 128) -> torch.optim.Optimizer:
    """Trains."""
    inputs, targets = lossreg.datasets.build("digits").train
    loader = DataLoader(TensorDataset(inputs[:samples], targets[:samples]), batch_size=32, shuffle=True)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    parts = lossreg.parts(loss="dice", optimizer="adamw(lr=0.01)", scheduler="cosine")
    optimizer = parts.optimizer(model)
    trainer = create_supervised_trainer(model, optimizer, parts.loss)
    PartsScheduler(parts, optimizer).attach(trainer)
    trainer.run(loader, max_epochs=epochs)
    return optimizer


if __name__ == "__main__":
    main()
