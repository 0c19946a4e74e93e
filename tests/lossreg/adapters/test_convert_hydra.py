"""What is converted from YAML of Hydra is what hydra.utils.instantiate makes of it, and so is what is written."""

from __future__ import annotations

from typing import Any

import pytest
import torch

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.hydra import write
from lossreg.registry.registries import Registries
from tests.table import for_each

hydra: Any = pytest.importorskip("hydra", reason="hydra is not installed (pip install 'lossreg[hosts]')")

from hydra.utils import instantiate  # noqa: E402  # behind the check that it is there
from omegaconf import OmegaConf  # noqa: E402

EPOCHS = 12
KERNELS = {"params", "initial_lr", "foreach", "fused", "capturable", "differentiable"}
RUN = f"trainer: {{max_epochs: {EPOCHS}}}\nbase: {{lr: 1e-1, decay: 0.01, betas: [0.8, 0.95]}}\n"

FILES = {
    "references": """
optimizer:
  _target_: torch.optim.AdamW
  _partial_: true
  lr: ${base.lr}
  betas: ${base.betas}
  weight_decay: ${..base.decay}
scheduler:
  _target_: torch.optim.lr_scheduler.CosineAnnealingLR
  _partial_: true
  T_max: ${trainer.max_epochs}
  eta_min: 1e-4
loss:
  _target_: torch.nn.CrossEntropyLoss
  label_smoothing: 0.1
""",
    "defaults of the classes": """
optimizer: {_target_: torch.optim.SGD, _partial_: true}
scheduler: {_target_: torch.optim.lr_scheduler.LinearLR, _partial_: true}
loss: {_target_: torch.nn.KLDivLoss}
""",
    "modules of the classes": """
optimizer: {_target_: torch.optim.rmsprop.RMSprop, _partial_: true, lr: 1e-3, momentum: 0.5}
scheduler: {_target_: torch.optim.lr_scheduler.StepLR, _partial_: true, step_size: 5}
loss: {_target_: torch.nn.modules.loss.HuberLoss, delta: 2.0}
""",
    "another length": """
optimizer: {_target_: torch.optim.Adam, _partial_: true, lr: '${base.lr}'}
scheduler: {_target_: torch.optim.lr_scheduler.CosineAnnealingLR, _partial_: true, T_max: 5}
loss: {_target_: torch.nn.SmoothL1Loss}
""",
    "milestones": """
optimizer: {_target_: torch.optim.NAdam, _partial_: true, lr: 2e-2}
scheduler: {_target_: torch.optim.lr_scheduler.MultiStepLR, _partial_: true, milestones: [3, 7], gamma: 0.3}
loss: {_target_: torch.nn.BCEWithLogitsLoss}
""",
}

SETTINGS: list[dict[str, Any]] = [
    {"loss": "cross_entropy(label_smoothing=0.1)", "optimizer": "sgd", "scheduler": "cosine"},
    {"loss": "dice(smooth=1)", "optimizer": "adamw(betas=[0.8, 0.9], lr=0.1)", "scheduler": "linear"},
    {"loss": "kl_div", "optimizer": "lookahead(sgd(lr=0.5), k=2)", "scheduler": "one_cycle(max_lr=0.1)"},
    {"loss": "huber", "optimizer": "cautious(adam)", "scheduler": "polynomial(power=2.0)"},
]


@pytest.fixture(scope="module")
def registries() -> Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[])


def weights() -> torch.nn.Module:
    """A model."""
    torch.manual_seed(0)
    return torch.nn.Linear(3, 2)


def options(optimizer: torch.optim.Optimizer) -> list[dict[str, Any]]:
    """The hyperparameters of each group; lists and tuples are the same."""
    return [
        {
            key: list(value) if isinstance(value, tuple | list) else value
            for key, value in group.items()
            if key not in KERNELS
        }
        for group in optimizer.param_groups
    ]


def rates(optimizer: torch.optim.Optimizer, scheduler: Any) -> list[float]:
    """The rate of each epoch."""
    seen = []
    for _ in range(EPOCHS):
        seen.append(float(optimizer.param_groups[0]["lr"]))
        optimizer.step()
        scheduler.step()
    return seen


@for_each("text", FILES.values(), ids=FILES)
def test_what_is_read_is_what_hydra_makes(text: str, registries: Registries) -> None:
    """Options of the optimizer, rates of 12 epochs, and the module of the loss."""
    config = OmegaConf.create(RUN + text)
    theirs = instantiate(config.optimizer)(weights().parameters())
    found = read_settings(RUN + text, "train.yaml", "hydra", registries)
    assert found.left_out == ()
    parts = lossreg.parts(found.settings, task="classification", registries=registries)
    ours = parts.optimizer(weights())
    assert options(ours) == options(theirs)
    expected = rates(theirs, instantiate(config.scheduler)(theirs))
    assert rates(ours, parts.scheduler(ours)) == pytest.approx(expected, rel=1e-12)
    loss, made = instantiate(config.loss), registries.losses.build(found.settings["loss"])
    assert type(made) is type(loss)
    plain = {key: value for key, value in vars(loss).items() if not key.startswith("_")}
    assert {key: vars(made)[key] for key in plain} == plain


@for_each("settings", SETTINGS, ids=lambda settings: settings["optimizer"])
def test_what_is_written_is_made_by_hydra(settings: dict[str, Any], registries: Registries) -> None:
    """The same options, rates and loss as the settings have in a loop of this length."""
    one_cycle = settings["scheduler"].startswith("one_cycle")
    spec = lossreg.RunSpec(**settings, epochs=EPOCHS)
    text, notes = write(spec, registries)
    config = OmegaConf.create(text)
    parts = lossreg.parts(spec, task="classification", registries=registries, steps_per_epoch=1)
    ours = parts.optimizer(weights())
    theirs = instantiate(config.optimizer)(weights().parameters())
    assert type(theirs) is type(ours)
    assert options(theirs) == options(ours)
    assert type(instantiate(config.loss)) is type(registries.losses.build(settings["loss"]))
    if one_cycle:  # it counts steps, of which a file of settings does not say how many there are
        assert any("total_steps is the length of the run" in note for note in notes)
        return
    expected = rates(ours, parts.scheduler(ours))
    assert rates(theirs, instantiate(config.scheduler)(theirs)) == pytest.approx(expected, rel=1e-12)
