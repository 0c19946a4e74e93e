"""A loop with Accelerate whose loss, optimizer and schedule are texts."""

from __future__ import annotations

import torch
from accelerate import Accelerator
from torch.utils.data import DataLoader, TensorDataset

import lossreg
from lossreg.adapters.accelerate import prepare


def main(epochs: int = 2, samples: int = 128) -> list[float]:
    """Trains, and returns the rate of each step."""
    accelerator = Accelerator(cpu=True, gradient_accumulation_steps=2)
    inputs, targets = lossreg.datasets.build("digits").train
    loader = DataLoader(TensorDataset(inputs[:samples], targets[:samples]), batch_size=16, shuffle=True)
    model = torch.nn.Sequential(torch.nn.Flatten(), torch.nn.Linear(784, 10))
    parts = lossreg.parts(loss="dice", optimizer="adamw(lr=0.01)", scheduler="cosine")
    model, optimizer, loader, scheduler = prepare(accelerator, parts, model, loader, epochs=epochs)
    rates = []
    for _ in range(epochs):
        for batch, labels in loader:
            with accelerator.accumulate(model):
                rates.append(optimizer.param_groups[0]["lr"])
                accelerator.backward(parts.loss(model(batch), labels))
                optimizer.step()
                scheduler.step()
                optimizer.zero_grad()
    return rates


if __name__ == "__main__":
    main()
