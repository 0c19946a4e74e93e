"""What of a training's loop is read from YAML of Hydra, and what of it is named."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.hydra import write
from lossreg.run_spec import RunSpec
from tests.table import for_each

ADAM = "optimizer: {_target_: torch.optim.Adam}\n"


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[], bridges=False)


@for_each(("text", "settings"), [
    ("trainer: {precision: 16-mixed, deterministic: true}", {"precision": "16", "deterministic": True}),
    ("trainer: {precision: 32, deterministic: false}", {"precision": "32"}),
    ("precision: bf16", {"precision": "bf16"}),
    ("metrics: {precision: macro}", {}),
    ("metrics: {precision: {_target_: my.Precision}}", {}),
    ("trainer: {max_steps: 500, max_epochs: -1}", {"max_steps": 500}),
    ("trainer: {max_steps: -1, max_epochs: 5}", {"epochs": 5}),
    ("max_epochs: 9\nmax_steps: 5\nscheduler: {_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 9}",
     {"epochs": 9, "max_steps": 5, "scheduler": "cosine_annealing_lr(T_max=9)"}),  # the run may end before its epochs
])  # fmt: skip
def test_the_loop_is_read(text: str, settings: dict[str, Any], registries: lossreg.Registries) -> None:
    """Words and numbers of a trainer, as Lightning has them."""
    assert read_settings(ADAM + text, "x.yaml", "hydra", registries).settings == {**settings, "optimizer": "adam"}


@for_each(("text", "said"), [
    ("trainer: {precision: 64-true}", "trainer.precision: lossreg has nothing like '64-true'"),
    ("trainer: {deterministic: warn}", "trainer.deterministic: lossreg has nothing like 'warn'"),
    ("trainer: {precision: 16}\ntrain: {precision: 32}", "precision: trainer.precision=16 and train.precision=32 are"),
    ("optimizers: [{_target_: torch.optim.SGD}, {_target_: torch.optim.Adam}]\nx: {cb: [{_target_: my.Callback}]}",
     "not read, since they are in a list, and a run has one of each: optimizers[0] (torch.optim.SGD), optimizers[1] "
     "(torch.optim.Adam), x.cb[0] (my.Callback)"),
])  # fmt: skip
def test_what_is_not_read_is_named(text: str, said: str, registries: lossreg.Registries) -> None:
    """With its place."""
    found = read_settings(ADAM + text, "x.yaml", "hydra", registries)
    assert [one for one in found.left_out if one.startswith(said)], found.left_out


def test_what_stands_in_the_place_of_a_reference_is_said(registries: lossreg.Registries) -> None:
    """The default of the class, of what cannot be read and nothing else."""
    text = "optimizer: {_target_: torch.optim.SGD, lr: '${oc.env:LR}', momentum: 0.5, weight_decay: '???'}"
    found = read_settings(text, "x.yaml", "hydra", registries)
    assert found.settings["optimizer"] == "sgd(lr=0.001, momentum=0.5)"
    assert found.notes == (
        "optimizer.lr: it has the default of the class, 0.001, since it is not read",
        "optimizer.weight_decay: it has the default of the class, 0.0, since it is not read",
    )


@for_each("settings", [
    {"max_steps": 7, "epochs": 3},  # both end a training in Lightning, too
    {"precision": "bf16", "deterministic": True},
    {"precision": "32"},
])  # fmt: skip
def test_the_loop_is_written_and_read_again(settings: dict[str, Any], registries: lossreg.Registries) -> None:
    """By the names that Lightning has."""
    text, notes = write(RunSpec(**settings), registries)
    assert notes == ()
    found = read_settings(text, "x.yaml", "hydra", registries)
    assert {key: found.settings.get(key) for key in (*settings, "deterministic")} == {"deterministic": None, **settings}


def test_it_is_said_when_a_run_ends(registries: lossreg.Registries) -> None:
    """By its steps or its epochs, whichever comes first."""
    found = read_settings(f"{ADAM}max_steps: 7", "x.yaml", "hydra", registries)
    assert [one for one in found.notes if one.startswith("max_steps=7: a run ends after its epochs, too")]


def test_samples_that_mmengine_mixes_are_named(registries: lossreg.Registries) -> None:
    """They change the loss, wherever they are written."""
    text = (
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\n"
        "model = dict(train_cfg=dict(augments=[dict(type='Mixup')]))"
    )
    found = read_settings(text, "x.py", "mmengine", registries)
    assert "model.train_cfg.augments: samples are not mixed; the loss is that of plain samples" in found.left_out
