"""Configs of MMEngine: the files that one is based on, the optimizer and what is around it, the loss."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

import lossreg
from lossreg.conversion.mmengine import read
from lossreg.conversion.mmengine.config import read_config
from lossreg.conversion.result import Converted
from lossreg.errors import ConfigError
from tests.lossreg.conversion.rates import built, options
from tests.table import for_each

WRAPPER = "optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='AdamW', lr=0.01, weight_decay=0.05), {})\n"


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


class Net(torch.nn.Module):
    """Parameters of all kinds that rules tell apart."""

    def __init__(self) -> None:
        super().__init__()
        self.backbone = torch.nn.ModuleDict(
            {"conv": torch.nn.Conv1d(2, 2, 1), "bn": torch.nn.BatchNorm1d(2), "ln": torch.nn.LayerNorm(2)}
        )
        self.head = torch.nn.Linear(2, 2)
        self.cls_token = torch.nn.Parameter(torch.zeros(1, 2))
        self.scale = torch.nn.Parameter(torch.zeros(2))


def groups(paramwise: str, registries: lossreg.Registries) -> dict[str, tuple[float, float]]:
    """Parameter -> its rate and weight decay by what a `paramwise_cfg` is converted to."""
    model = Net()
    found = read(WRAPPER.format(f"paramwise_cfg={paramwise}"), "config.py", registries)
    assert not found.left_out
    optimizer, _ = built(found.settings, model, 1)
    return {name: (own["lr"], own["weight_decay"]) for name, own in options(optimizer, model).items()}


def read_file(folder: Path, registries: lossreg.Registries, **files: str) -> Converted:
    """A config with the files that it is based on."""
    for name, text in files.items():
        (folder / f"{name}.py").write_text(text)
    return read(files["main"], str(folder / "main.py"), registries)


def test_rules_for_normalisations_and_biases(registries: lossreg.Registries) -> None:
    """Biases have other options than the biases of normalisations."""
    found = groups("dict(bias_lr_mult=2.0, bias_decay_mult=0.5, norm_decay_mult=0.0)", registries)
    plain, norm = (0.01, 0.05), (0.01, 0)
    assert found == {
        "cls_token": plain, "scale": plain, "head.weight": plain, "backbone.conv.weight": plain,
        "head.bias": (0.02, 0.025), "backbone.conv.bias": (0.02, 0.025),
        **{f"backbone.{kind}.{name}": norm for kind in ("bn", "ln") for name in ("weight", "bias")},
    }  # fmt: skip


@for_each(
    "paramwise, without",
    [
        ("dict(norm_decay_mult=0)", "bn.weight bn.bias ln.weight ln.bias"),
        ("dict(bias_decay_mult=0)", "bn.bias ln.bias conv.bias head.bias"),
        ("dict(flat_decay_mult=0)", "bn.weight bn.bias ln.weight ln.bias conv.bias head.bias scale"),
        ("dict(norm_decay_mult=1, flat_decay_mult=0)", "conv.bias head.bias scale"),
        ("dict(norm_decay_mult=0, bias_decay_mult=0)", "bn.weight bn.bias ln.weight ln.bias conv.bias head.bias"),
        ("dict(bias_decay_mult=1, flat_decay_mult=0)", "bn.weight ln.weight scale"),
        ("dict(norm_decay_mult=0, bias_decay_mult=0, custom_keys={'.cls_token': dict(decay_mult=0), 'bn': dict()})",
         "ln.weight ln.bias conv.bias head.bias cls_token"),
    ],
    ids=lambda value: value,
)  # fmt: skip
def test_which_parameters_have_no_weight_decay(registries: lossreg.Registries, paramwise: str, without: str) -> None:
    """As the constructor of MMEngine asks: a key, a normalisation, a bias, one dimension."""
    found = groups(paramwise, registries)
    assert {name.removeprefix("backbone.") for name, (_, decay) in found.items() if not decay} == set(without.split())


def test_the_longest_key_wins(registries: lossreg.Registries) -> None:
    """And other rules do not hold for what a key is in the name of."""
    found = groups(
        "dict(bias_lr_mult=9, custom_keys={'backbone': dict(lr_mult=0.1), "
        "'backbone.bn': dict(lr_mult=0.5, decay_mult=0)})",
        registries,
    )
    assert found["backbone.conv.weight"] == found["backbone.conv.bias"] == (0.01 * 0.1, 0.05)
    assert found["backbone.bn.weight"] == found["backbone.bn.bias"] == (0.005, 0)
    assert found["head.bias"] == (0.01 * 9, 0.05)
    assert found["head.weight"] == (0.01, 0.05)


@for_each(
    "text, key, value",
    [
        ("optim_wrapper = dict(type='OptimWrapper')", "precision", "32"),
        ("optim_wrapper = dict(type='AmpOptimWrapper', dtype='bfloat16')", "precision", "bf16"),
        ("optim_wrapper = dict(type='AmpOptimWrapper', loss_scale='dynamic')", "precision", "16"),
        ("optim_wrapper = dict(accumulative_counts=4)", "accumulate", 4),
        ("optim_wrapper = dict(clip_grad=dict(max_norm=35, norm_type=2))", "clip_grad_norm", 35.0),
        ("optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9))", "optimizer",
         "sgd(lr=0.1, momentum=0.9)"),
        ("from torch.optim import Adam\noptim_wrapper = dict(optimizer=dict(type=Adam, lr=1e-4))", "optimizer",
         "adam(lr=0.0001)"),
        ("optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1))", "optimizer", "sgd(lr=0.1, momentum=0)"),
        ("train_cfg = dict(by_epoch=True, max_epochs=5, val_interval=1)", "epochs", 5),
        ("train_cfg = dict(by_epoch=False, max_iters=50)", "max_steps", 50),
        ("train_dataloader = dict(batch_size=32, num_workers=2)", "batch_size", 32),
        ("randomness = dict(seed=7, diff_rank_seed=True)", "seed", 7),
        ("randomness = dict(deterministic=True)", "deterministic", True),
        ("custom_hooks = [dict(type='EMAHook', momentum=1e-4, priority='ABOVE_NORMAL')]", "weights", "ema(0.9999)"),
        ("model = dict(head=dict(loss=dict(type='LabelSmoothLoss', label_smooth_val=0.1, mode='original')))", "loss",
         "cross_entropy(label_smoothing=0.1)"),
        ("model = dict(head=dict(loss=dict(type='CrossEntropyLoss', loss_weight=1.0)))", "loss", "cross_entropy"),
        ("model = dict(loss=dict(type='mmdet.SmoothL1Loss', beta=0.5))", "loss", "smooth_l1(beta=0.5)"),
        ("model = dict(decode_head=dict(loss_decode=dict(type='CrossEntropyLoss', use_sigmoid=True)))", "loss",
         "bce_with_logits"),
        ("loss = dict(type='torch.nn.HuberLoss', delta=2.0)", "loss", "huber(delta=2.0)"),
    ],
    ids=lambda value: str(value)[:70],
)  # fmt: skip
def test_settings(registries: lossreg.Registries, text: str, key: str, value: Any) -> None:
    """Each of them by its name in lossreg."""
    assert read(text, "config.py", registries).settings[key] == value


@for_each(
    "text, said",
    [
        ("optim_wrapper = dict(clip_grad=dict(type='value', clip_value=1))", "optim_wrapper.clip_grad: lossreg clips"),
        ("optim_wrapper = dict(clip_grad=dict(max_norm=1, norm_type='inf'))", "optim_wrapper.clip_grad"),
        ("optim_wrapper = dict(constructor='LayerDecayOptimizerConstructor', paramwise_cfg=dict(decay_rate=0.7))",
         "optim_wrapper.constructor: LayerDecayOptimizerConstructor is not known"),
        ("optim_wrapper = dict(optimizer=dict(type='AdamWW', lr=1))", "did you mean torch.optim.AdamW or"),
        ("optim_wrapper = dict(optimizer=dict(type='SGD', lr=base_lr))", "config.py, line 1: base_lr is not a literal"),
        ("optim_wrapper = dict(optimizer=dict(type='SGD', lr=1, odd=2))",
         "optim_wrapper.optimizer: sgd has no parameter 'odd'"),
        (WRAPPER.format("paramwise_cfg=dict(dwconv_decay_mult=0.0)"), "optim_wrapper.paramwise_cfg.dwconv_decay_mult"),
        ("optim_wrapper = dict(optimizer=dict(type='SGD', lr=1), paramwise_cfg=dict(norm_decay_mult=0.0))",
         "the optimizer has no weight_decay that it could be a factor of"),
        ("train_cfg = dict(max_epochs=len(x))", "config.py, line 1: len(x) is not a literal"),
        ("custom_hooks = [dict(type='EMAHook', begin_epoch=3)]", "lossreg does not know EMAHook with begin_epoch"),
        ("custom_hooks = [dict(type='MyHook', priority=49)]", "custom_hooks[0]: lossreg does not know MyHook"),
        ("optim_wrapper = dict(accumulative_counts=2)\ncustom_hooks = [dict(type='EMAHook')]", "over iterations"),
        ("for a in b: pass", "config.py, line 1: for a in b: is not an assignment of a literal"),
        ("model = dict(loss=dict(type='FocalLoss'))", "model.loss: FocalLoss is not a loss of which lossreg has one"),
        ("model = dict(loss=dict(type='L1Loss', loss_weight=2.0))", "model.loss.loss_weight"),
        ("hyp = dict(a=1)", "not read: hyp"),
        ("auto_scale_lr = dict(enable=True, base_batch_size=64)", "auto_scale_lr"),
    ],
    ids=lambda value: value[:60],
)  # fmt: skip
def test_what_is_not_carried_over_is_named(registries: lossreg.Registries, text: str, said: str) -> None:
    """With its place, and the line of what is no literal."""
    found = read(text, "config.py", registries)
    assert any(said in one for one in found.left_out), found.left_out


@for_each(
    "text, key, said",
    [
        (
            "if c:\n    optim_wrapper['optimizer']['lr'] = 0.9",
            "optimizer",
            "optim_wrapper.optimizer: c.py, line 6: if c:",
        ),
        ("optim_wrapper.merge(clip_grad=None)", "clip_grad_norm", "optim_wrapper: c.py, line 6: optim_wrapper.merge("),
        (
            "for one in param_scheduler:\n    one['gamma'] = 0.5",
            "scheduler",
            "c.py, line 6: for one in param_scheduler:",
        ),
        ("def f():\n    train_cfg['max_epochs'] = 3", "epochs", "train_cfg: c.py, line 6: def f():"),
        ("custom_hooks[0].update(c())", "weights", "custom_hooks[0]: c.py, line 6: custom_hooks[0].update(c())"),
        ("c(model)", "loss", "the loss: c.py, line 6: c(model)"),
        ("loss = c()", "loss", "the loss: c.py, line 6: c()"),
        ("auto_scale_lr = c()", "auto_scale_lr", "auto_scale_lr: "),
    ],
    ids=lambda value: value[:60],
)  # fmt: skip
def test_what_a_statement_may_have_changed_is_left_out(
    registries: lossreg.Registries, text: str, key: str, said: str
) -> None:
    """And named with the line, once; what the file has before that statement is no setting."""
    config = (
        "optim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1), clip_grad=dict(max_norm=5))\n"
        "param_scheduler = [dict(type='StepLR', step_size=2)]\ntrain_cfg = dict(max_epochs=9)\n"
        "custom_hooks = [dict(type='EMAHook')]\nmodel = dict(head=dict(loss=dict(type='MSELoss')))\n"
    )
    whole = read(config, "c.py", registries)
    assert whole.settings.keys() >= {"optimizer", "clip_grad_norm", "scheduler", "epochs", "weights", "loss"}
    found = read(config + text, "c.py", registries)
    assert key not in found.settings
    assert sum(one.startswith(said) and "is not an assignment" not in one for one in found.left_out) == 1, found


def test_a_list_that_a_method_makes_is_the_schedule(registries: lossreg.Registries) -> None:
    """As if it had been written so."""
    entries = ["dict(type='LinearLR', start_factor=0.1, end=3)", "dict(type='CosineAnnealingLR', begin=3, T_max=6)"]
    whole = f"train_cfg = dict(max_epochs=9)\nparam_scheduler = [{', '.join(entries)}]"
    steps = f"train_cfg = dict(max_epochs=9)\nparam_scheduler = [{entries[1]}]\nparam_scheduler.insert(0, {entries[0]})"
    expected = read(whole, "c.py", registries)
    assert "scheduler" in expected.settings
    assert read(steps, "c.py", registries) == expected


def test_yaml_and_json_are_read_as_python_is(registries: lossreg.Registries) -> None:
    """The three forms that MMEngine reads."""
    content = {"optim_wrapper": {"optimizer": {"type": "SGD", "lr": 0.1}}, "train_cfg": {"max_epochs": 3}}
    expected = {"optimizer": "sgd(lr=0.1, momentum=0)", "epochs": 3, "precision": "32"}
    yaml = "optim_wrapper:\n  optimizer: {type: SGD, lr: 1e-1}\ntrain_cfg:\n  max_epochs: 3\n"
    for name in ("config.json", "stdin"):
        assert read(json.dumps(content), name, registries).settings == expected
    for name in ("config.yml", "stdin"):
        assert read(yaml, name, registries).settings == expected


def test_a_config_is_merged_with_what_it_is_based_on(tmp_path: Path, registries: lossreg.Registries) -> None:
    """Tables are merged, `_delete_` replaces one, and values of a base can be named."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "deep.py").write_text("train_cfg = dict(max_epochs=100, val_interval=5)\nsize = 16\n")
    found = read_file(
        tmp_path, registries,
        schedule="_base_ = 'base/deep.py'\noptim_wrapper = dict(optimizer=dict(type='SGD', lr=0.1, momentum=0.9, "
        "weight_decay=1e-4), clip_grad=dict(max_norm=1))\n",
        runtime="randomness = dict(seed=3)",
        main="_base_ = ['schedule.py', 'runtime.py']\noptim_wrapper = dict(optimizer=dict(_delete_=True, type='Adam', "
        "lr=1e-3))\ntrain_dataloader = dict(batch_size=_base_.size * 2)\n",
    )  # fmt: skip
    assert found.settings == {
        "optimizer": "adam(lr=0.001)", "clip_grad_norm": 1.0, "epochs": 100, "seed": 3, "batch_size": 32,
        "precision": "32",
    }  # fmt: skip


def test_a_base_is_changed_in_place(tmp_path: Path, registries: lossreg.Registries) -> None:
    """A value of it by another name is the same value, as in MMEngine; one that may be changed is not known."""
    (tmp_path / "configs").mkdir()
    found = read_file(
        tmp_path, registries,
        schedule="optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.5))\ntrain_cfg = dict(max_epochs=9)\n",
        runtime="randomness = dict(seed=3)",
        main="_base_ = ['schedule.py', 'runtime.py']\nx = _base_.optim_wrapper\nx['accumulative_counts'] = 2\n"
        "change(_base_.train_cfg)\n",
    )  # fmt: skip
    assert found.settings == {"optimizer": "adam(lr=0.5)", "accumulate": 2, "precision": "32", "seed": 3}
    assert any("main.py, line 4: change(_base_.train_cfg) may change it" in one for one in found.left_out)


@for_each(
    "base, said",
    [
        ("'../outside.py'", "which is not below"),
        ("'/etc/hostname'", "which is not below"),
        ("'link.py'", "which is not below"),
        ("'mmdet::x.py'", "which is not below"),
        ("'missing.py'", "which is not a file"),
        ("'main.py'", "which is based on it"),
        ("['one.py', 'two.py']", "two of the files in _base_ have 'a'"),
        ("'table.py'", "optim_wrapper is a table, but 3 in a file of _base_"),
        ("[3]", "_base_ is 3, not a path"),
        ("[name + '.py']", "line 1: name + '.py' is not a literal"),
    ],
)
def test_bases_that_are_refused(tmp_path: Path, registries: lossreg.Registries, base: str, said: str) -> None:
    """What leads outside of the folder, is not there, goes in a circle, or what MMEngine refuses."""
    folder = tmp_path / "configs"
    folder.mkdir(exist_ok=True)
    (tmp_path / "outside.py").write_text("a = 1")
    if not (folder / "link.py").is_symlink():
        (folder / "link.py").symlink_to(tmp_path / "outside.py")
    with pytest.raises(ConfigError) as caught:
        read_file(
            folder, registries, one="a = 1", two="a = 2", table="optim_wrapper = 3",
            main=f"_base_ = {base}\noptim_wrapper = dict(optimizer=dict(type='SGD', lr=1))",
        )  # fmt: skip
    assert said in caught.value.message


def test_bases_need_a_file() -> None:
    """A config on stdin has no folder."""
    with pytest.raises(ConfigError, match="is found from a file alone; convert the whole config"):
        read_config("_base_ = 'a.py'", "stdin")


@for_each(
    "name, text, said",
    [
        (
            "c.py",
            "\n".join(["a0 = [1]", *(f"a{n} = dict(x=a{n - 1}, y=a{n - 1})" for n in range(1, 31))]),
            "more than 100,000",
        ),
        ("c.py", "\n".join(["a = []", *["a = [a]"] * 60]), "nested more than 50 levels deep"),
        ("c.py", "a = [1]\na[0] = a", "nested more than 50 levels deep"),
        ("c.json", '{"a": ' * 60 + "1" + "}" * 60, "nested more than 50 levels deep"),
        ("c.json", '{"a": ' * 100_000 + "1" + "}" * 100_000, "nested too deep"),
    ],
    ids=lambda value: value[:20],
)
def test_vast_values_are_refused(registries: lossreg.Registries, name: str, text: str, said: str) -> None:
    """Thirty lines can stand for a billion values, and three for one that holds itself."""
    with pytest.raises(ConfigError, match=said):
        read(text, name, registries)


@for_each(
    "name, text, said",
    [
        ("c.py", "optim_wrapper = dict(", "c.py, line 1 is not Python"),
        ("c.json", '{"a": 1,\n}', "c.json, line 2 is not JSON"),
        ("c.json", "[1]", "c.json holds no keys and values"),
        ("c.yaml", "a: [1\nb: 2", "c.yaml, line 2 is not YAML"),
    ],
)
def test_broken_files(registries: lossreg.Registries, name: str, text: str, said: str) -> None:
    """One error, with the line."""
    with pytest.raises(ConfigError) as caught:
        read(text, name, registries)
    assert said in caught.value.message
