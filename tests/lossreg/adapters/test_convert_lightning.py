"""Files as LightningCLI itself builds them, and as they are converted: the same options and rates."""

from __future__ import annotations

import functools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.lightning import write
from lossreg.run_spec import RunSpec
from tests.lossreg.conversion.rates import built, options, rates
from tests.table import for_each

lightning: Any = pytest.importorskip("lightning", reason="lightning is not installed (pip install 'lossreg[hosts]')")
pytest.importorskip("jsonargparse", reason="jsonargparse is not installed (pip install 'lossreg[hosts]')")

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    from lightning.pytorch.cli import LightningCLI, ReduceLROnPlateau

pytestmark = pytest.mark.filterwarnings("ignore")  # of Lightning and jsonargparse

EPOCHS, STEPS = 12, 2

#: What a group has that says how the same numbers are computed, or that is no option.
UNLIKE = ("params", "fused", "foreach", "capturable", "differentiable", "initial_lr", "swap_params")


class Module(lightning.LightningModule):  # type: ignore[misc]  # Lightning may be missing where types are checked
    """A model with a loss that a file names."""

    def __init__(self, criterion: torch.nn.Module | None = None) -> None:
        super().__init__()
        self.criterion, self.layer = criterion, torch.nn.Linear(2, 2)

    def training_step(self, batch: Any, index: int) -> None:
        """LightningCLI asks for one."""


def loaded(text: str, folder: Path) -> tuple[Any, Any, Any]:
    """What LightningCLI makes of a file: the program, the optimizer, and the schedule with what is said of it."""
    (folder / "config.yaml").write_text(text)
    cli = LightningCLI(
        Module, args=["--config", str(folder / "config.yaml")], run=False, save_config_callback=None,
        trainer_defaults={"accelerator": "cpu", "logger": False, "enable_progress_bar": False},
    )  # fmt: skip
    made = cli.model.configure_optimizers()
    if isinstance(made, dict):
        return cli, made["optimizer"], made["lr_scheduler"]
    if isinstance(made, tuple):
        return cli, made[0][0], made[1][0]
    return cli, made, None


def check(text: str, folder: Path) -> None:
    """Checks that a file and what it is converted to have the same options, and rates in each step of 12 epochs."""
    _, optimizer, scheduler = loaded(text, folder)
    found = read_settings(text, "config.yaml", "lightning", registries())
    model = Module()
    ours, _ = built(found.settings, model, EPOCHS)
    expected = {key: value for key, value in optimizer.param_groups[0].items() if key not in UNLIKE}
    for own in options(ours, model).values():
        for key, value in expected.items():
            own_value = list(own[key]) if isinstance(value, list) else own[key]
            assert own_value == (pytest.approx(value) if isinstance(value, float) else value), key
    their_rates = []
    for _ in range(EPOCHS):
        for _ in range(STEPS):
            their_rates.append([optimizer.param_groups[0]["lr"]] * 2)
            optimizer.step()
        if scheduler is not None:
            scheduler.step()
    for one, other in zip(rates(found.settings, EPOCHS, STEPS, Module()), their_rates, strict=True):
        assert one == pytest.approx(other, rel=1e-12, abs=1e-16)


@functools.cache
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


@for_each(
    "optimizer",
    [
        "{class_path: torch.optim.AdamW, init_args: {lr: 1e-3, weight_decay: 0.05, betas: [0.9, 0.95]}}",
        "{class_path: torch.optim.SGD, init_args: {lr: 0.1, momentum: 0.9, nesterov: true}}",
        "{class_path: torch.optim.SGD, init_args: {lr: 0.1}}",
        "{class_path: torch.optim.RMSprop, init_args: {lr: 2e-4, alpha: 0.9}}",
        "{class_path: torch.optim.Adam}",
    ],
)
def test_optimizers(tmp_path: Path, optimizer: str) -> None:
    """With the defaults of the class where the file says nothing."""
    check(f"optimizer: {optimizer}\ntrainer: {{max_epochs: {EPOCHS}}}\n", tmp_path)


@for_each(
    "name, arguments",
    [
        ("CosineAnnealingLR", "{T_max: 12}"),
        ("CosineAnnealingLR", "{T_max: 8, eta_min: 1e-3}"),
        ("StepLR", "{step_size: 5, gamma: 0.5}"),
        ("MultiStepLR", "{milestones: [4, 9]}"),
        ("LinearLR", "{start_factor: 0.1}"),
        ("PolynomialLR", "{power: 2.0}"),
        ("OneCycleLR", "{max_lr: 0.3, total_steps: 12}"),
        ("CyclicLR", "{base_lr: 0.01, max_lr: 0.1, step_size_up: 3}"),
    ],
)
def test_schedules(tmp_path: Path, name: str, arguments: str) -> None:
    """LightningCLI steps each after an epoch, those that are made for steps as well."""
    check(
        f"trainer: {{max_epochs: {EPOCHS}}}\n"
        "optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1, momentum: 0.9}}\n"
        f"lr_scheduler: {{class_path: torch.optim.lr_scheduler.{name}, init_args: {arguments}}}\n",
        tmp_path,
    )


def test_a_plateau(tmp_path: Path) -> None:
    """Lightning's own class, with its metric; the numbers are those of torch's class, which both are made of."""
    text = (
        "optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}\n"
        "lr_scheduler: {class_path: lightning.pytorch.cli.ReduceLROnPlateau, init_args: "
        "{monitor: val_loss, factor: 0.5, patience: 2, threshold: 1e-3}}\n"
    )
    _, _, theirs = loaded(text, tmp_path)
    assert theirs["monitor"] == "val_loss"
    found = read_settings(text, "config.yaml", "lightning", registries())
    _, ours = built(found.settings, Module(), EPOCHS)
    assert ours.monitor == "test_loss"
    values = [1.0, 0.9, 0.8999, 0.95, 0.97, 0.7, 0.8, 0.9, 0.9, 0.9]
    lowered: dict[str, list[float]] = {"ours": [], "theirs": []}
    for value in values:
        for word, scheduler in (("ours", ours), ("theirs", theirs["scheduler"])):
            scheduler.step(value)
            lowered[word].append(scheduler.optimizer.param_groups[0]["lr"])
    assert isinstance(theirs["scheduler"], ReduceLROnPlateau)
    assert lowered["ours"] == lowered["theirs"]
    assert lowered["ours"][-1] < 0.05


def test_loss_and_trainer(tmp_path: Path) -> None:
    """The module has the loss that is converted, and the trainer the numbers."""
    text = (
        "seed_everything: 7\n"
        "trainer: {max_epochs: 5, max_steps: 30, gradient_clip_val: 0.5, accumulate_grad_batches: 3}\n"
        "model: {criterion: {class_path: torch.nn.CrossEntropyLoss, init_args: {label_smoothing: 0.1}}}\n"
        "optimizer: {class_path: torch.optim.SGD, init_args: {lr: 0.1}}\n"
    )
    cli, _, _ = loaded(text, tmp_path)
    found = read_settings(text, "config.yaml", "lightning", registries()).settings
    outputs, targets = torch.randn(4, 3), torch.tensor([0, 1, 2, 0])
    assert torch.equal(lossreg.losses.build(found["loss"])(outputs, targets), cli.model.criterion(outputs, targets))
    trainer = cli.trainer
    assert (found["epochs"], found["max_steps"], found["clip_grad_norm"], found["accumulate"], found["seed"]) == (
        trainer.max_epochs, trainer.max_steps, trainer.gradient_clip_val, trainer.accumulate_grad_batches,
        cli.config.seed_everything,
    )  # fmt: skip


@for_each(
    "settings",
    [
        {"optimizer": "sgd"},
        {"optimizer": "adamw(lr=0.01)", "scheduler": "cosine"},
        {"optimizer": "sgd(lr=0.1)", "scheduler": "linear(start_factor=0.1)"},
        {"optimizer": "adagrad(lr=0.1)", "scheduler": "constant(factor=0.5, total_iters=4)"},
    ],
    ids=str,
)
def test_what_is_written_is_the_same_there(tmp_path: Path, settings: Mapping[str, Any]) -> None:
    """LightningCLI builds from it what lossreg has, and so does lossreg again."""
    spec = RunSpec(**settings, epochs=EPOCHS)
    text, notes = write(spec, registries())
    assert not notes
    _, optimizer, scheduler = loaded(text, tmp_path)
    theirs = []
    for _ in range(EPOCHS):
        theirs.append([optimizer.param_groups[0]["lr"]] * 2)
        optimizer.step()
        if scheduler is not None:
            scheduler.step()
    for one, other in zip(rates(dict(spec.items()), EPOCHS, 1, Module()), theirs, strict=True):
        assert one == pytest.approx(other, rel=1e-12, abs=1e-16)
    check(text, tmp_path)
