"""Which metric a schedule of another program follows, in which direction, and after what it steps."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import format_module, read_settings
from lossreg.conversion.result import Converted
from lossreg.run_spec import RunSpec
from tests.table import for_each

PLATEAU = "_target_: torch.optim.lr_scheduler.ReduceLROnPlateau"
STEP = "_target_: torch.optim.lr_scheduler.StepLR, step_size: 3"


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def read(form: str, text: str, registries: lossreg.Registries) -> Converted:
    """What a text gives."""
    return read_settings(text, "file", form, registries)


def in_hydra(name: str, mode: str) -> str:
    """A plateau beside which it is written what it follows."""
    return f"lr_scheduler: {{scheduler: {{{PLATEAU}, mode: {mode}}}, monitor: '{name}', frequency: 1}}"


def in_lightning(name: str, mode: str) -> str:
    """That of LightningCLI."""
    return (
        "lr_scheduler: {class_path: lightning.pytorch.cli.ReduceLROnPlateau, "
        f"init_args: {{monitor: '{name}', mode: {mode}}}}}"
    )


def in_mmengine(name: str, mode: str) -> str:
    """That of MMEngine."""
    rule = {"min": "less", "max": "greater"}[mode]
    return f"param_scheduler = dict(type='ReduceOnPlateauLR', monitor='{name}', rule='{rule}')"


WRITTEN = {"hydra": in_hydra, "lightning": in_lightning, "mmengine": in_mmengine}


@for_each(("name", "mode", "monitor", "own"), [
    ("val_loss", "min", "test_loss", "min"),
    ("val/loss_epoch", "min", "test_loss", "min"),
    ("train_loss", "min", "train_loss", "min"),
    ("val_acc", "max", "test_accuracy", "max"),
    ("accuracy/top1", "max", "test_accuracy", "max"),
    ("val_acc1", "max", "test_accuracy", "max"),
    ("val/MulticlassAccuracy", "max", "test_accuracy", "max"),
    ("val_mae", "min", "test_mean_absolute_error", "min"),
    ("val/f1", "max", "test_loss", "min"),  # and those below: a run has none, so that the loss is followed
    ("coco/bbox_mAP", "max", "test_loss", "min"),
    ("accuracy/top5", "max", "test_loss", "min"),
    ("acc_top_5", "max", "test_loss", "min"),
    ("train_acc", "max", "test_loss", "min"),
    ("accumulated", "min", "test_loss", "min"),
])  # fmt: skip
def test_a_metric_is_followed_in_its_direction(
    name: str, mode: str, monitor: str, own: str, registries: lossreg.Registries
) -> None:
    """In each format; a metric that a run does not have is named, with the direction in which it gets better."""
    for form, write in WRITTEN.items():
        found = read(form, write(name, mode), registries)
        params = dict(lossreg.ComponentSpec.parse(found.settings["scheduler"]).params)
        assert (params["monitor"], params["mode"]) == (monitor, own), form
        which = "more" if mode == "max" else "less"
        named = [one for one in found.left_out if f"no metric '{name}', of which {which}" in one]
        assert bool(named) == (own != mode or name == "accumulated"), (form, found.left_out)
        assert bool(named) or any(f"'{name}'" in one for one in found.notes) or name == monitor


@for_each(("name", "mode"), [("val_acc", "min"), ("val_loss", "max")])
def test_a_direction_that_does_not_fit_is_kept_and_said(name: str, mode: str, registries: lossreg.Registries) -> None:
    """It is that of the file, whose program lowers the rate so."""
    for form, write in WRITTEN.items():
        found = read(form, write(name, mode), registries)
        assert f"mode='{mode}'" in found.settings["scheduler"]
        assert any(f"mode='{mode}' is as in the file, though" in one for one in found.notes), form


@for_each(("text", "scheduler", "said"), [
    (f"scheduler: {{{PLATEAU}, mode: max}}", "reduce_lr_on_plateau(mode='max', monitor='test_accuracy')",
     "note: scheduler.monitor: which metric is followed is not in the file; with mode='max', test_accuracy is taken"),
    (f"scheduler: {{{PLATEAU}}}", "reduce_lr_on_plateau(mode='min')", "with mode='min', test_loss is taken"),
    (f"model: {{scheduler: {{{PLATEAU}}}, monitor: val_acc}}", "monitor='test_accuracy')", "val_acc"),
    (f"model: {{lr_scheduler: {{{PLATEAU}}}, scheduler_monitor: train/loss}}", "monitor='train_loss')", "train/loss"),
    (f"scheduler: {{{PLATEAU}}}\nscheduler_config: {{monitor: train/loss}}", "monitor='train_loss')", "train/loss"),
    (f"scheduler: {{{PLATEAU}, monitor: val_mae}}", "monitor='test_mean_absolute_error')", "val_mae"),
    ("scheduler: {_target_: lightning.pytorch.cli.ReduceLROnPlateau, monitor: val_mae}",
     "monitor='test_mean_absolute_error')", "val_mae"),
    (f"a: {{monitor: val_acc}}\nscheduler: {{{PLATEAU}}}", "reduce_lr_on_plateau(mode='min')", "is not in the file"),
    (f"lr_scheduler: {{scheduler: {{{PLATEAU}}}, interval: step}}", None,
     "left out: lr_scheduler.scheduler.interval: 'step': lossreg has a metric once an epoch; no scheduler is set"),
    (f"lr_scheduler: {{scheduler: {{{STEP}}}, frequency: 2}}", None, "lr_scheduler.scheduler.frequency: 2: a schedule"),
    (f"lr_scheduler: {{scheduler: {{{STEP}}}, interval: batch}}", None, "lr_scheduler.scheduler.interval: 'batch': "),
    ("scheduler: {_target_: my.own.ReduceLROnPlateau}", None, "'my.own.ReduceLROnPlateau' is not a class"),
])  # fmt: skip
def test_what_stands_beside_a_schedule_of_hydra(
    text: str, scheduler: str | None, said: str, registries: lossreg.Registries
) -> None:
    """In the table around it, with or without its name, or in one called its config; elsewhere it is another's."""
    found = read("hydra", f"optimizer: {{_target_: torch.optim.SGD, lr: 0.1}}\n{text}", registries)
    assert found.settings.get("scheduler", "").endswith(scheduler or "")
    assert ("scheduler" in found.settings) == (scheduler is not None)
    lines = [f"note: {one}" for one in found.notes] + [f"left out: {one}" for one in found.left_out]
    assert any(said in one for one in lines), lines


@for_each(("text", "interval"), [
    (f"lr_scheduler: {{scheduler: {{{STEP}}}, interval: step, frequency: 1}}", "step"),
    (f"lr_scheduler: {{scheduler: {{{STEP}}}, interval: epoch, name: lr}}", None),
    (f"model: {{scheduler: {{{STEP}}}, scheduler_interval: step}}", "step"),
    ("lr_scheduler: {scheduler: {_target_: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.1, total_steps: 20}, "
     "interval: epoch}", "epoch"),
    ("scheduler: {_target_: torch.optim.lr_scheduler.OneCycleLR, max_lr: 0.1, total_steps: 20}", None),
])  # fmt: skip
def test_after_what_a_schedule_of_hydra_steps(text: str, interval: str | None, registries: lossreg.Registries) -> None:
    """As `interval` says, and not said where it is as usual."""
    assert read("hydra", text, registries).settings.get("scheduler_interval") == interval


def test_a_length_in_steps_is_not_that_in_epochs(registries: lossreg.Registries) -> None:
    """`T_max` of as many steps as there are epochs is not the length of the run."""
    cosine = "{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 9}"
    found = read("hydra", f"max_epochs: 9\nlr_scheduler: {{scheduler: {cosine}, interval: step}}", registries)
    assert found.settings["scheduler"] == "cosine_annealing_lr(T_max=9)"


@for_each(("monitor", "mode"), [
    ("test_loss", "auto"), ("test_accuracy", "auto"), ("test_accuracy", "min"), ("test_mean_absolute_error", "auto"),
    ("train_loss", "max"),
])  # fmt: skip
def test_a_plateau_is_written_and_read_again(monitor: str, mode: str, registries: lossreg.Registries) -> None:
    """With its metric and its direction, in each format that has them."""
    spec = RunSpec(scheduler=f"plateau(monitor='{monitor}', mode='{mode}')")
    expected = ("max" if monitor == "test_accuracy" else "min") if mode == "auto" else mode
    for form in WRITTEN:
        text, notes = format_module(form).write(spec, registries)
        assert any(f"monitor='{monitor}'" in one for one in notes), form
        params: dict[str, Any] = {
            "monitor": "test_loss",
            **dict(lossreg.ComponentSpec.parse(read(form, text, registries).settings["scheduler"]).params),
        }
        assert (params["monitor"], params["mode"]) == (monitor, expected), form


def test_an_interval_is_written_and_read_again(registries: lossreg.Registries) -> None:
    """Beside the scheduler, where it is not the usual one."""
    for scheduler, interval in (("step_lr(step_size=2)", "step"), ("one_cycle(max_lr=0.1, total_steps=9)", "epoch")):
        text, _ = format_module("hydra").write(RunSpec(scheduler=scheduler, scheduler_interval=interval), registries)
        assert read("hydra", text, registries).settings["scheduler_interval"] == interval


def test_a_direction_is_what_the_metric_declares() -> None:
    """`auto` of a metric that a plugin offers is written as torch has it."""
    registries = lossreg.load_registries(allow=[], bridges=False)
    registries.metrics.register("score", "my:Score", target="index", input="logits", better="higher")
    text, _ = format_module("hydra").write(RunSpec(scheduler="plateau(monitor='test_score')"), registries)
    assert "mode: max" in text


def test_a_rule_that_mmengine_does_not_have_is_named(registries: lossreg.Registries) -> None:
    """It is no direction, and MMEngine refuses it."""
    text = f"optim_wrapper = dict(optimizer=dict(type='SGD'))\n{in_mmengine('loss', 'min')}".replace("less", "up")
    found = read("mmengine", text, registries)
    assert "scheduler" not in found.settings
    assert any("param_scheduler[0].rule: it is less or greater, not 'up'" in one for one in found.left_out)
