"""YAML of LightningCLI as settings of lossreg, and back."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

import lossreg
from lossreg.conversion.lightning import read, write
from lossreg.run_spec import RunSpec
from tests.table import for_each

WHOLE = """
# lightning.pytorch==2.6.6
seed_everything: 42
trainer:
  accelerator: auto
  max_epochs: 12
  gradient_clip_val: 0.5
  accumulate_grad_batches: 4
  precision: bf16-mixed
  callbacks: null
  fast_dev_run: false
model:
  class_path: my.Classifier
  init_args:
    width: 3
    criterion:
      class_path: torch.nn.CrossEntropyLoss
      init_args: {label_smoothing: 0.1}
data:
  class_path: my.Data
  init_args: {batch_size: 32}
optimizer:
  class_path: torch.optim.AdamW
  init_args: {lr: 1e-3, weight_decay: 0.05, fused: null, foreach: null}
lr_scheduler:
  class_path: torch.optim.lr_scheduler.CosineAnnealingLR
  init_args: {T_max: 12, eta_min: 0.0, last_epoch: -1}
"""


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def test_a_whole_file(registries: lossreg.Registries) -> None:
    """Everything that lossreg has a setting for; classes of the user's own are named."""
    found = read(WHOLE, "config.yaml", registries)
    assert found.settings == {
        "loss": "cross_entropy(label_smoothing=0.1)", "optimizer": "adamw(lr=0.001, weight_decay=0.05)", "epochs": 12,
        "clip_grad_norm": 0.5, "accumulate": 4, "precision": "bf16", "scheduler": "cosine_annealing_lr(eta_min=0.0)",
        "seed": 42, "batch_size": 32,
    }  # fmt: skip
    assert [one.partition(":")[0] for one in found.left_out] == ["model", "data"]
    assert any("T_max=12 is the length of the run" in note for note in found.notes)


@for_each(
    "text, settings",
    [
        ("fit: {trainer: {max_epochs: 3}}", {"epochs": 3, "precision": "32"}),
        ("trainer: {max_epochs: -1, max_steps: 500}", {"max_steps": 500, "precision": "32"}),
        ("trainer: {max_epochs: 3, precision: 32-true}", {"epochs": 3, "precision": "32"}),
        ("trainer: {max_epochs: 3, precision: 16}", {"epochs": 3, "precision": "16"}),
        (
            "trainer: {max_epochs: 3, deterministic: true, gradient_clip_val: 0}",
            {"epochs": 3, "deterministic": True, "precision": "32"},
        ),
        ("seed_everything: false\ntrainer: {max_epochs: 3}", {"epochs": 3, "precision": "32"}),
        ("optimizer: {class_path: SGD, init_args: {lr: 0.1}}", {"optimizer": "sgd(lr=0.1, momentum=0)"}),
        ("model: {optimizer: {class_path: torch.optim.Adam, init_args: {lr: 0.1}}}", {"optimizer": "adam(lr=0.1)"}),
        (
            "lr_scheduler: {class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 3}, interval: step}",
            {"scheduler": "step_lr(step_size=3)", "scheduler_interval": "step"},
        ),
        (
            "lr_scheduler: {class_path: torch.optim.lr_scheduler.OneCycleLR, init_args: {max_lr: 0.1, total_steps: 9}}",
            {"scheduler": "one_cycle_lr(max_lr=0.1, total_steps=9)", "scheduler_interval": "epoch"},
        ),
        (
            "lr_scheduler: {class_path: torch.optim.lr_scheduler.LinearLR}",
            {"scheduler": "linear_lr(total_iters=5)"},
        ),
        (
            "lr_scheduler: {class_path: lightning.pytorch.cli.ReduceLROnPlateau, "
            "init_args: {monitor: val_acc, mode: max}}",
            {"scheduler": "reduce_lr_on_plateau(mode='max', monitor='test_accuracy')"},
        ),
        ("model: {init_args: {loss: {class_path: torch.nn.MSELoss}}}", {"loss": "mse"}),
    ],
    ids=lambda value: str(value)[:60],
)  # fmt: skip
def test_settings(registries: lossreg.Registries, text: str, settings: dict[str, Any]) -> None:
    """What a file says, and nothing else. LightningCLI steps a schedule after each epoch where nothing is said."""
    assert read(text, "config.yaml", registries).settings == settings


@for_each(
    "text, said",
    [
        ("trainer: {gradient_clip_val: 1, gradient_clip_algorithm: value}", "trainer.gradient_clip_val"),
        ("trainer: {precision: 64-true}", "trainer.precision: lossreg has no precision '64-true'"),
        ("trainer: {callbacks: [{class_path: EarlyStopping}]}", "trainer.callbacks: 'EarlyStopping'"),
        ("trainer: {limit_train_batches: 0.5}", "trainer.limit_train_batches"),
        ("trainer: {max_epochs: many}", "trainer.max_epochs: 'many' is not of a form that is read"),
        ("trainer: {accumulate_grad_batches: 0}", "trainer.accumulate_grad_batches: 0 is less than 1"),
        ("optimizer: {lr: 0.1}", "optimizer.class_path: it is missing"),
        ("optimizer: {class_path: torch.optim.Adamm}", "did you mean torch.optim.Adam"),
        ("lr_scheduler: {class_path: torch.optim.lr_scheduler.StepLR, init_args: {step_size: 1}, frequency: 2}",
         "lr_scheduler.frequency"),
        ("optimizer: {class_path: SGD, init_args: {lr: 0.1, odd: 3}}", "optimizer: sgd has no parameter 'odd'"),
        ("other: 3", "other: lossreg does not read it"),
    ],
    ids=lambda value: value[:60],
)  # fmt: skip
def test_what_is_not_carried_over_is_named(registries: lossreg.Registries, text: str, said: str) -> None:
    """With its place."""
    found = read(text, "config.yaml", registries)
    assert any(said in one for one in found.left_out), found.left_out


def test_what_is_written_is_read_as_the_same(registries: lossreg.Registries) -> None:
    """Settings that Lightning has, there and back."""
    spec = RunSpec(
        loss="cross_entropy(label_smoothing=0.1)", optimizer="sgd(lr=0.1)", scheduler="cosine", epochs=7, seed=3,
        batch_size=32, accumulate=2, clip_grad_norm=1.5, precision="16", deterministic=True, max_steps=90,
    )  # fmt: skip
    text, _ = write(spec, registries)
    assert yaml.safe_load(text)["optimizer"] == {
        "class_path": "torch.optim.SGD", "init_args": {"momentum": 0.9, "lr": 0.1},
    }  # fmt: skip
    found = read(text, "config.yaml", registries)
    again = RunSpec(**{**found.settings, "scheduler": "cosine"})
    assert RunSpec(**found.settings).scheduler == lossreg.ComponentSpec.parse("cosine_annealing_lr(T_max=7)")
    expected = lossreg.ComponentSpec.parse("sgd(lr=0.1, momentum=0.9)")
    assert dict(again.items()) == {**dict(spec.items()), "optimizer": expected.text}


@for_each(
    "settings, said",
    [
        ({"scheduler": "warmup(cosine)"}, "scheduler: warmup(cosine): LightningCLI makes one class of it"),
        ({"scheduler": "chained(linear, step_lr(step_size=2))"}, "LightningCLI makes one class of it"),
        ({"scheduler": "lambda_lr(lr_lambda='1')"}, "it is left out"),
        ({"scheduler": "step_lr(step_size=3)", "scheduler_interval": "step"}, "lr_scheduler: it counts steps"),
        ({"scheduler": "plateau(monitor='test_loss')"}, "monitor='test_loss' has to be the name"),
        ({"param_groups": {"*.bias": "weight_decay=0"}}, "param_groups is left out"),
        ({"optimizer": "lookahead(sgd)"}, "optimizer: lookahead(sgd)"),
    ],
    ids=str,
)
def test_what_lightning_has_not_is_said(registries: lossreg.Registries, settings: dict[str, Any], said: str) -> None:
    """And the rest is written."""
    text, notes = write(RunSpec(**settings), registries)
    assert any(said in note for note in notes), notes
    assert yaml.safe_load(text)["trainer"]["max_epochs"] == 20
