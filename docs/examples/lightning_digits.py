"""A LightningModule whose loss, optimizer and schedule are texts: hyperparameters like others."""

from __future__ import annotations

import lightning
import torch
from torch.utils.data import DataLoader, TensorDataset

import lossreg
from lossreg.adapters.lightning import configure_optimizers


class Classifier(lightning.LightningModule):
    """Two layers for the digits."""

    def __init__(self, loss: str = "dice", optimizer: str = "adamw(lr=0.01)", scheduler: str = "cosine") -> None:
        super().__init__()
        self.save_hyperparameters()
        self.parts = lossreg.parts(loss=loss, optimizer=optimizer, scheduler=scheduler)
        self.loss = self.parts.loss
        self.model = torch.nn.Sequential(
            torch.nn.Flatten(), torch.nn.LazyLinear(32), torch.nn.ReLU(), torch.nn.Linear(32, 10)
        )

    def training_step(self, batch: tuple[torch.Tensor, torch.Tensor], index: int) -> torch.Tensor:
        """The loss of a batch."""
        inputs, targets = batch
        return self.loss(self.model(inputs), targets)

    def configure_optimizers(self) -> dict[str, object]:
        """What the texts say, for this trainer."""
        return configure_optimizers(self.parts, self)


def main(epochs: int = 2, samples: int = 128) -> Classifier:
    """Trains on a part of the digits."""
    inputs, targets = lossreg.datasets.build("digits").train
    data = TensorDataset(inputs[:samples], targets[:samples])
    module = Classifier()
    module.model(inputs[:1])  # the lazy layer finds its size
    trainer = lightning.Trainer(
        max_epochs=epochs, accelerator="cpu", logger=False, enable_checkpointing=False, enable_progress_bar=False,
        enable_model_summary=False,
    )  # fmt: skip
    trainer.fit(module, DataLoader(data, batch_size=64))
    return module


if __name__ == "__main__":
    main()
