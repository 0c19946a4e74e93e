"""Configs as MMEngine itself loads and builds them, and as they are converted: the same options and rates."""

from __future__ import annotations

import copy
import functools
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.mmengine import write
from lossreg.run_spec import RunSpec
from tests.lossreg.conversion.rates import built as built_here
from tests.lossreg.conversion.rates import options, rates
from tests.table import for_each

with warnings.catch_warnings():
    warnings.simplefilter("ignore")
    pytest.importorskip("mmengine", reason="mmengine is not installed (pip install mmengine)")
    from mmengine.config import Config
    from mmengine.model import ExponentialMovingAverage
    from mmengine.optim import build_optim_wrapper
    from mmengine.registry import PARAM_SCHEDULERS

pytestmark = pytest.mark.filterwarnings("ignore")  # of MMEngine, with the torch that is installed

EPOCHS, STEPS = 12, 3

SWIN = """
optim_wrapper = dict(
    type='OptimWrapper',
    optimizer=dict(type='AdamW', lr=5e-4 * 1024 / 512, weight_decay=0.05, eps=1e-8, betas=(0.9, 0.999)),
    paramwise_cfg=dict(
        norm_decay_mult=0.0, bias_decay_mult=0.0, flat_decay_mult=0.0,
        custom_keys={'.cls_token': dict(decay_mult=0.0), 'table': dict(decay_mult=0.0)}),
    clip_grad=dict(max_norm=5.0))
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-3, by_epoch=True, end=4, convert_to_iter_based=True),
    dict(type='CosineAnnealingLR', eta_min=1e-5, by_epoch=True, begin=4)]
train_cfg = dict(by_epoch=True, max_epochs=12, val_interval=1)
"""
DETECTION = """
max_epochs = 12
train_cfg = dict(type='EpochBasedTrainLoop', max_epochs=max_epochs, val_interval=1)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.001, by_epoch=False, begin=0, end=10),
    dict(type='MultiStepLR', begin=0, end=max_epochs, by_epoch=True, milestones=[8, 11], gamma=0.1)]
optim_wrapper = dict(
    optimizer=dict(type='SGD', lr=0.02, momentum=0.9, weight_decay=0.0001),
    paramwise_cfg=dict(bias_lr_mult=2.0, bias_decay_mult=0.0, custom_keys={'blocks.0': dict(lr_mult=0.1),
                       'blocks': dict(lr_mult=0.5, decay_mult=0.5)}))
"""
SEGMENTATION = """
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.01, momentum=0.9, weight_decay=0.0005),
                     clip_grad=None)
param_scheduler = [
    dict(type='LinearLR', start_factor=1e-6, by_epoch=False, begin=0, end=7),
    dict(type='PolyLR', eta_min=0.0, power=0.9, begin=7, end=36, by_epoch=False)]
train_cfg = dict(type='IterBasedTrainLoop', max_iters=36, val_interval=16)
"""
RTM = """
base_lr = 0.004
optim_wrapper = dict(optimizer=dict(type='AdamW', lr=base_lr, weight_decay=0.05),
                     paramwise_cfg=dict(norm_decay_mult=0, bias_decay_mult=0, bypass_duplicate=True))
param_scheduler = [
    dict(type='LinearLR', start_factor=1.0e-5, by_epoch=False, begin=0, end=15),
    dict(type='CosineAnnealingLR', eta_min=base_lr * 0.05, begin=12 // 2, end=12, T_max=12 // 2, by_epoch=True,
         convert_to_iter_based=True)]
train_cfg = dict(max_epochs=12)
"""
PLAIN = """
optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, nesterov=True))
train_cfg = dict(max_epochs=12)
param_scheduler = {}
"""
SCHEDULES = [
    "dict(type='CosineAnnealingLR', T_max=12)",
    "dict(type='CosineAnnealingLR', T_max=5, eta_min=0.01)",
    "dict(type='CosineAnnealingLR', T_max=9, end=9, eta_min_ratio=0.2)",
    "dict(type='StepLR', step_size=3, gamma=0.5, begin=2)",
    "dict(type='StepLR', step_size=2, gamma=0.5, end=7)",
    "dict(type='MultiStepLR', milestones=[3, 3, 7])",
    "dict(type='MultiStepLR', milestones=[0, 3, 9], end=8)",
    "dict(type='PolyLR', eta_min=0.02, power=2.0, begin=1, end=9)",
    "dict(type='PolyLR', power=0.5, convert_to_iter_based=True)",
    "dict(type='ConstantLR', factor=0.25, begin=2, end=6)",
    "dict(type='ConstantLR', by_epoch=False, end=5)",
    "dict(type='LinearLR', start_factor=1.0, end_factor=0.1)",
    "dict(type='LinearLR', end=2.5, convert_to_iter_based=True, start_factor=0.5, begin=0.5)",
    "dict(type='ExponentialLR', gamma=0.8, begin=3, end=8)",
    "dict(type='OneCycleLR', eta_max=0.3, total_steps=12)",
    "dict(type='OneCycleLR', eta_max=0.3, total_steps=12, pct_start=0.4, three_phase=True, convert_to_iter_based=True)",
    "[dict(type='LinearLR', end=4), dict(type='CosineAnnealingLR', T_max=12, eta_min=0.01)]",
    "[dict(type='LinearLR', end=4), dict(type='ExponentialLR', gamma=0.9, begin=4), "
    "dict(type='StepLR', step_size=2, begin=6)]",
    "[dict(type='LinearLR', end=2.5, convert_to_iter_based=True),"
    " dict(type='CosineAnnealingLR', begin=2.5, end=12, convert_to_iter_based=True)]",
]


class Net(torch.nn.Module):
    """Parameters of all kinds that rules tell apart."""

    def __init__(self) -> None:
        super().__init__()
        block = [torch.nn.Conv2d(2, 2, 1), torch.nn.BatchNorm2d(2), torch.nn.GroupNorm(1, 2)]
        self.blocks = torch.nn.ModuleList([torch.nn.Sequential(*block), torch.nn.InstanceNorm2d(2, affine=True)])
        self.norm = torch.nn.LayerNorm(2)
        self.head = torch.nn.Linear(2, 2)
        self.cls_token = torch.nn.Parameter(torch.zeros(1, 2))
        self.table = torch.nn.Parameter(torch.zeros(2, 2))
        self.scale = torch.nn.Parameter(torch.zeros(2))


@functools.cache
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def loaded(text: str, folder: Path) -> Any:
    """A config as MMEngine loads it."""
    (folder / "config.py").write_text(text)
    return Config.fromfile(folder / "config.py")


def mmengine_rates(config: Any, model: torch.nn.Module, accumulate: int = 1) -> tuple[Any, list[Any]]:
    """Options before any schedule, and the rates of each parameter in each step, as MMEngine's hooks step schedules."""
    wrapper = build_optim_wrapper(model, copy.deepcopy(config.optim_wrapper))
    before = options(wrapper.optimizer, model)
    length = STEPS * accumulate
    schedulers = []
    written = config.get("param_scheduler") or []
    for one in written if isinstance(written, list) else [written]:
        by_epoch = one.get("by_epoch", True)
        end = config.train_cfg.get("max_epochs", 1) if by_epoch else config.train_cfg.get("max_iters", EPOCHS * length)
        arguments = {"optimizer": wrapper, "epoch_length": length, "end": end}
        schedulers.append(PARAM_SCHEDULERS.build(copy.deepcopy(one), default_args=arguments))
    found = []
    for _ in range(EPOCHS):
        for iteration in range(length):
            if iteration % accumulate == accumulate - 1:
                own = options(wrapper.optimizer, model)
                found.append([own[name]["lr"] for name, _ in model.named_parameters()])
            wrapper.optimizer.step()
            for scheduler in schedulers:
                if not scheduler.by_epoch:
                    scheduler.step()
        for scheduler in schedulers:
            if scheduler.by_epoch:
                scheduler.step()
    return before, found


def check(text: str, folder: Path, accumulate: int = 1) -> None:
    """Checks that a config and what it is converted to have the same options and rates."""
    config = loaded(text, folder)
    found = read_settings(text, str(folder / "config.py"), "mmengine", registries())
    assert not found.left_out
    theirs, their_rates = mmengine_rates(config, Net(), accumulate)
    model = Net()
    optimizer, _ = built_here({**found.settings, "scheduler": "none", "scheduler_interval": None}, model, EPOCHS)
    ours = options(optimizer, model)
    assert ours.keys() == theirs.keys()
    for name, own in theirs.items():
        for key in ("lr", "weight_decay", "momentum", "nesterov", "betas", "eps"):
            expected = own.get(key)
            same = pytest.approx(expected, rel=1e-12) if isinstance(expected, float) else expected
            assert ours[name].get(key) == same, (name, key)
    for ours_, theirs_ in zip(rates(found.settings, EPOCHS, STEPS, Net()), their_rates, strict=True):
        assert ours_ == pytest.approx(theirs_, rel=1e-9, abs=1e-14)


@for_each("text", [SWIN, DETECTION, SEGMENTATION, RTM, PLAIN], ids=lambda text: text.strip()[:40])
def test_configs_as_they_are_published(tmp_path: Path, text: str) -> None:
    """Options of each parameter, and its rate in each step of 12 epochs."""
    check(text, tmp_path)


@for_each("schedule", SCHEDULES)
def test_each_kind_of_scheduler(tmp_path: Path, schedule: str) -> None:
    """Alone, in a part of the training, and with others."""
    text = (
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))\ntrain_cfg = dict(max_epochs=12)\n"
        f"param_scheduler = {schedule}\n"
    )
    check(text, tmp_path)


def test_accumulation(tmp_path: Path) -> None:
    """Steps of 2 iterations have the rate of the last of them."""
    check(SWIN.replace("type='OptimWrapper',", "accumulative_counts=2,"), tmp_path, accumulate=2)


def test_clipping_and_accumulation_are_those_of_the_wrapper(tmp_path: Path) -> None:
    """By what MMEngine's wrapper has of them."""
    text = SWIN.replace("type='OptimWrapper',", "accumulative_counts=4,")
    wrapper = build_optim_wrapper(Net(), loaded(text, tmp_path).optim_wrapper)
    found = read_settings(text, "config.py", "mmengine", registries()).settings
    assert (found["accumulate"], found["clip_grad_norm"]) == (
        wrapper._accumulative_counts,
        wrapper.clip_grad_kwargs["max_norm"],
    )


def test_an_average_of_the_weights_is_torchs() -> None:
    """`ema(X)` of lossreg equals torch's; MMEngine's with the momentum 1 - X does, too."""
    weights, momentum = torch.tensor([[1.0], [2.0], [4.0], [-3.0]]), 0.25
    model = torch.nn.Linear(1, 1, bias=False)
    found = read_settings(
        f"custom_hooks = [dict(type='EMAHook', momentum={momentum})]", "config.py", "mmengine", registries()
    ).settings
    assert found["weights"] == "ema(0.75)"
    theirs = ExponentialMovingAverage(model, momentum=momentum)
    ours = torch.optim.swa_utils.AveragedModel(model, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.75))
    for one in weights:
        with torch.no_grad():
            model.weight.copy_(one)
        theirs.update_parameters(model)
        ours.update_parameters(model)
    assert torch.equal(*theirs.module.parameters(), *ours.module.parameters())


def test_bases_are_merged_as_mmengine_does(tmp_path: Path) -> None:
    """With `_delete_`, names of a base, and a base of a base."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "a.py").write_text(SWIN)
    (tmp_path / "base" / "b.py").write_text("_base_ = 'a.py'\ntrain_cfg = dict(val_interval=3)\n")
    text = (
        "_base_ = ['base/b.py']\n"
        "optim_wrapper = dict(optimizer=dict(_delete_=True, type='SGD', lr=0.1, weight_decay=1e-4),\n"
        "                     paramwise_cfg=dict(custom_keys={'head': dict(lr_mult=10)}))\n"
        "param_scheduler = [dict(type='CosineAnnealingLR', T_max=_base_.train_cfg.max_epochs)]\n"
    )
    check(text, tmp_path)


@for_each(
    "settings",
    [
        {"scheduler": "cosine"},
        {"scheduler": "warmup(cosine(eta_min=0.01), length=3)"},
        {"scheduler": "warmup(length=3, start_factor=0.1)"},
        {"scheduler": "sequential(linear(start_factor=0.1, total_iters=4), step_lr(step_size=3), milestones=[5])"},
        {"scheduler": "sequential(constant(factor=1.0), polynomial(power=2), milestones=['25%'])"},
        {"scheduler": "chained(linear(), exponential(gamma=0.9))"},
        {"scheduler": "multi_step(milestones=[3, 8])"},
        {"scheduler": "step_lr(step_size=10)", "scheduler_interval": "step"},
        {"scheduler": "one_cycle(max_lr=0.1, total_steps=36, cycle_momentum=False)"},
        {"optimizer": "adamw(weight_decay=0.05)", "param_groups": {"no_decay": True}},
        {"param_groups": {"*head*": "lr=x10, weight_decay=0.1", "*blocks.0*": "lr=0.5"}},
        {"optimizer": "sgd(lr=0.1, weight_decay=0.1)", "param_groups": {"*.bias": "weight_decay=0"}},
        {"optimizer": "adafactor(lr=0.1)"},
    ],
    ids=str,
)
def test_what_is_written_is_the_same_there(tmp_path: Path, settings: Mapping[str, Any]) -> None:
    """MMEngine builds from it what lossreg has, and so does lossreg again."""
    spec = RunSpec(**{"optimizer": "sgd(lr=0.1)", **settings, "epochs": EPOCHS})
    text, notes = write(spec, registries())
    assert not notes
    _, theirs = mmengine_rates(loaded(text, tmp_path), Net())
    for ours_, theirs_ in zip(rates(dict(spec.items()), EPOCHS, STEPS, Net()), theirs, strict=True):
        assert ours_ == pytest.approx(theirs_, rel=1e-9, abs=1e-14)
    check(text, tmp_path)
