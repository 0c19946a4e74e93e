"""What of timm's arguments is said, and what a schedule of lossreg is called there, in cases that are rare."""

from __future__ import annotations

import pytest

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.timm import write
from lossreg.conversion.yaml_text import read_yaml
from lossreg.run_spec import RunSpec
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def test_what_goes_with_an_unknown_optimizer_is_named(registries: lossreg.Registries) -> None:
    """Its rate and all that is written for it; what is not written is not lost."""
    text = (
        "opt: blub\nlr: 0.02\nweight_decay: 0.05\nopt_betas: [0.9, 0.95]\nopt_eps: null\nlayer_decay: 0.75\nepochs: 3"
    )
    found = read_settings(text, "args.yaml", "timm", registries)
    assert "optimizer" not in found.settings
    assert "param_groups" not in found.settings
    assert found.left_out[0].startswith("opt=blub: no optimizer named 'timm.blub'")
    assert found.left_out[1] == (
        "lr=0.02, weight_decay=0.05, opt_betas=[0.9, 0.95], layer_decay=0.75: they are of the optimizer, which is left "
        "out"
    )


@for_each(("milestones", "scheduler"), [
    ("[10, 5]", "multi_step_lr(gamma=0.1, milestones=[4, 4])"),
    ("[9, 2, 6, 4]", "multi_step_lr(gamma=0.1, milestones=[1, 1, 5, 5])"),
])  # fmt: skip
def test_milestones_out_of_order_are_said(milestones: str, scheduler: str, registries: lossreg.Registries) -> None:
    """It finds its place among them by halves; the adapters' tests compare the rates."""
    text = f"opt: sgd\nlr: 0.1\nsched: multistep\nepochs: 12\nwarmup_epochs: 0\ndecay_milestones: {milestones}"
    found = read_settings(text, "args.yaml", "timm", registries)
    assert found.settings["scheduler"] == scheduler
    assert [one for one in found.notes if one.startswith(f"decay_milestones={milestones} are not in order; timm's")]


@for_each("mul", ["1e300", "3", "1000000000"])
def test_cycles_without_bounds_are_neither_counted_nor_multiplied_out(mul: str, registries: lossreg.Registries) -> None:
    """A message says so at once."""
    text = f"opt: sgd\nlr: 0.1\nlr_cycle_limit: 300\nlr_cycle_mul: {mul}"
    try:
        said = read_settings(text, "args.yaml", "timm", registries).left_out
    except lossreg.ConfigError as error:
        said = (error.message,)
    assert [one for one in said if "a number in it is too large" in one or one.startswith("epochs (--epochs)")], said


@for_each(("scheduler", "metric"), [
    ("plateau", "loss"),
    ("plateau(monitor='test_accuracy')", "top1"),
    ("plateau(monitor='test_accuracy', mode='min')", "loss"),
    ("plateau(monitor='test_mean_absolute_error')", "loss"),
    ("plateau(monitor='train_loss', mode='max')", "top1"),
])  # fmt: skip
def test_a_plateau_has_its_direction_in_timm(scheduler: str, metric: str, registries: lossreg.Registries) -> None:
    """train.py takes more of a metric as better, but for one with `loss` in its name."""
    text, notes = write(RunSpec(scheduler=scheduler), registries)
    assert read_yaml(text, "args.yaml")["eval_metric"] == metric
    assert [one for one in notes if one.endswith(f"which is written as eval_metric={metric}")]


@for_each(("metric", "monitor"), [("top5", "test_accuracy"), ("my_loss", "test_loss")])
def test_a_metric_that_is_not_known_keeps_its_direction(
    metric: str, monitor: str, registries: lossreg.Registries
) -> None:
    """With a warning."""
    text = f"opt: sgd\nlr: 0.1\nsched: plateau\nwarmup_epochs: 0\neval_metric: {metric}"
    found = read_settings(text, "args.yaml", "timm", registries)
    assert f"monitor='{monitor}'" in found.settings["scheduler"]
    assert f"eval_metric={metric}: the schedule follows {monitor}" in found.left_out


def test_a_flag_of_another_version_is_named(registries: lossreg.Registries) -> None:
    """It is not known whether it takes a value; an option of the recipe does."""
    line = "train.py --opt sgd --lr 0.1 --torchcompile --epochs 3 --naflex"
    found = read_settings(line, "line.txt", "timm", registries)
    assert found.settings["epochs"] == 3
    assert "not read, since they are not of the recipe: torchcompile, naflex" in found.left_out
    with pytest.raises(lossreg.ConfigError, match=r"line\.txt: --lr lacks its value"):
        read_settings("train.py --opt sgd --lr --epochs 3", "line.txt", "timm", registries)
