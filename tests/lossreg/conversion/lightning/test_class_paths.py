"""Classes in a YAML of LightningCLI: as a path alone, and with what is not an argument of them."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg.conversion.lightning import read
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


@for_each(("text", "settings"), [
    ("optimizer: torch.optim.Adam", {"optimizer": "adam"}),
    ("optimizer: SGD", {"optimizer": "sgd(lr=0.001, momentum=0)"}),  # torch's defaults
    ("lr_scheduler: torch.optim.lr_scheduler.LinearLR", {"scheduler": "linear_lr(total_iters=5)"}),
    ("model: {init_args: {optimizer: torch.optim.Adam, criterion: torch.nn.MSELoss}}",
     {"optimizer": "adam", "loss": "mse"}),
    ("model: {init_args: {criterion: MSELoss}}", {"loss": "mse"}),
    ("model: {init_args: {loss: mean, loss_fn: {class_path: torch.nn.MSELoss}}}", {"loss": "mse"}),
])  # fmt: skip
def test_a_path_alone_is_a_class_without_arguments(
    text: str, settings: dict[str, Any], registries: lossreg.Registries
) -> None:
    """As jsonargparse reads it; a word that no class is called by is passed over."""
    assert read(text, "config.yaml", registries).settings == settings


@for_each(("text", "said"), [
    ("optimizer: torch.optim.Adamm", "optimizer: 'torch.optim.Adamm' is not a class of an optimizer"),
    ("optimizer: [torch.optim.Adam]", "optimizer: ['torch.optim.Adam'] is not a class with arguments"),
    ("lr_scheduler: torch.optim.lr_scheduler.StepLR", "step_lr needs step_size"),
    ("model: {init_args: {criterion: my.Loss}}", "model.init_args.criterion: 'my.Loss' is not a class of a loss"),
    ("model: {init_args: {criterion: focal}}", "model.init_args.criterion: 'focal' is not a class with arguments"),
    ("optimizer: {class_path: SGD, lr: 0.1}", "optimizer.lr: it is not an argument of the class"),
    ("lr_scheduler: {class_path: torch.optim.lr_scheduler.LinearLR, total_iters: 3}", "lr_scheduler.total_iters: it"),
    ("model: my.Model", "model: my.Model is a class of your own"),
    ("data: my.Data", "data: my.Data is a class of your own"),
])  # fmt: skip
def test_what_is_not_carried_over_is_named(text: str, said: str, registries: lossreg.Registries) -> None:
    """With its place."""
    found = read(f"trainer: {{max_epochs: 3}}\n{text}", "config.yaml", registries)
    assert any(said in one for one in found.left_out), found.left_out
