"""A Trainer of Hugging Face whose loss, optimizer and schedule are texts."""

from __future__ import annotations

import tempfile
from typing import Any

import torch
from torch.utils.data import Dataset
from transformers import TrainingArguments

import lossreg
from lossreg.adapters.transformers import PartsTrainer


class Classifier(torch.nn.Module):
    """Two layers for the digits, with inputs and outputs as the models of transformers have them."""

    def __init__(self) -> None:
        super().__init__()
        self.layers = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.Linear(784, 32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
        )

    def forward(self, pixels: torch.Tensor) -> dict[str, torch.Tensor]:
        """The logits."""
        return {"logits": self.layers(pixels)}


class Digits(Dataset[dict[str, Any]]):
    """A part of the digits, as the Trainer takes samples."""

    def __init__(self, samples: int) -> None:
        inputs, targets = lossreg.datasets.build("digits").train
        self.inputs, self.targets = inputs[:samples], targets[:samples]

    def __len__(self) -> int:
        return len(self.targets)

    def __getitem__(self, index: int) -> dict[str, Any]:
        return {"pixels": self.inputs[index], "labels": self.targets[index]}


def main(epochs: int = 2, samples: int = 128) -> PartsTrainer:
    """Trains."""
    arguments = TrainingArguments(
        tempfile.mkdtemp(), num_train_epochs=epochs, per_device_train_batch_size=64, use_cpu=True, report_to="none",
        save_strategy="no", disable_tqdm=True,
    )  # fmt: skip
    parts = lossreg.parts(loss="dice", optimizer="adamw(lr=0.01)", scheduler="cosine")
    trainer = PartsTrainer(parts=parts, model=Classifier(), args=arguments, train_dataset=Digits(samples))
    trainer.train()
    return trainer


if __name__ == "__main__":
    main()
