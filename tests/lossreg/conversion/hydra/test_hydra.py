"""YAML of Hydra as settings, and back; what it makes is compared with hydra.utils.instantiate in the adapters."""

from __future__ import annotations

import re
from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.hydra import write
from lossreg.conversion.result import Converted
from lossreg.conversion.yaml_text import read_yaml
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from tests.table import for_each

TEMPLATE = """
# @package _global_
defaults:
  - _self_
  - data: mnist
  - override hydra/launcher: joblib
seed: 12
base: {lr: 1e-3}
data:
  batch_size: 32
model:
  _target_: src.models.mnist_module.MNISTLitModule
  optimizer:
    _target_: torch.optim.Adam
    _partial_: true
    lr: ${base.lr}
    weight_decay: 0.0
  scheduler:
    _target_: torch.optim.lr_scheduler.ReduceLROnPlateau
    _partial_: true
    mode: min
    factor: 0.1
    patience: 10
  criterion:
    _target_: torch.nn.CrossEntropyLoss
    label_smoothing: ${..smoothing}
  smoothing: 0.1
trainer:
  _target_: lightning.pytorch.trainer.Trainer
  max_epochs: 10
  gradient_clip_val: 0.5
  accumulate_grad_batches: 2
"""


@pytest.fixture(scope="module")
def registries() -> Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[])


def read(text: str, registries: Registries) -> Converted:
    """What a text gives."""
    return read_settings(text, "train.yaml", "hydra", registries)


def test_a_project_is_read(registries: Registries) -> None:
    """Components wherever they stand, what their references lead to, and numbers of the loop."""
    found = read(TEMPLATE, registries)
    assert found.settings == {
        "epochs": 10,
        "batch_size": 32,
        "accumulate": 2,
        "clip_grad_norm": 0.5,
        "seed": 12,
        "optimizer": "adam(lr=0.001, weight_decay=0.0)",
        "scheduler": "reduce_lr_on_plateau(factor=0.1, mode='min', patience=10)",
        "loss": "cross_entropy(label_smoothing=0.1)",
    }
    assert found.left_out == (
        "defaults: data: mnist is in a file of its own, which is not read: convert what `--cfg job` prints",
        "defaults: override hydra/launcher: joblib is in a file of its own, which is not read: convert what "
        "`--cfg job` prints",
        "not read, since they are not a loss, an optimizer or a schedule: model "
        "(src.models.mnist_module.MNISTLitModule), trainer (lightning.pytorch.trainer.Trainer)",
    )


#: Ten lists, each of which refers to the one before it ten times: 10**9 values.
REPEATED = "optimizer: {_target_: my.Optimizer}\na0: [1]\n" + "".join(
    f"a{one + 1}: [" + ", ".join(["'${a" + str(one) + "}'"] * 10) + "]\n" for one in range(9)
)
#: Tables that lead to one another.
CHAIN = "".join(f"t{one}: {{x: '${{t{one + 1}}}'}}\n" for one in range(110)) + "t110: 1"
ADAM = "optimizer:\n  _target_: torch.optim.Adam\n"


@for_each(("text", "setting", "value"), [
    ("_target_: torch.optim.AdamW\n_partial_: true\nlr: 0.1", "optimizer", "adamw(lr=0.1)"),
    (f"{ADAM}  lr: ${{lr}}\nlr: ${{a.b}}\na: {{b: 0.5}}", "optimizer", "adam(lr=0.5)"),
    (f"{ADAM}  betas: ${{a[1]}}\na: [0, [0.8, 0.9]]", "optimizer", "adam(betas=[0.8, 0.9])"),
    (f"{ADAM}  lr: ${{.eps}}\n  eps: 0.1", "optimizer", "adam(eps=0.1, lr=0.1)"),
    ("a: {_target_: torch.optim.Adam, lr: 0.5}\noptimizer: ${a}", "optimizer", "adam(lr=0.5)"),
    ("n: 7\nscheduler: {_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: '${n}'}", "scheduler",
     "cosine_annealing_lr(T_max=7)"),
    ("max_epochs: 7\nscheduler: {_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: '${max_epochs}'}",
     "scheduler", "cosine_annealing_lr"),
    ("lr_scheduler:\n  _target_: torch.optim.lr_scheduler.SequentialLR\n  milestones: [2]\n  schedulers:\n"
     "  - {_target_: torch.optim.lr_scheduler.LinearLR, total_iters: 2}\n"
     "  - {_target_: torch.optim.lr_scheduler.ExponentialLR, gamma: 0.9}\n", "scheduler",
     "sequential_lr(milestones=[2], schedulers=[linear_lr(total_iters=2), exponential_lr(gamma=0.9)])"),
    (f"{ADAM}data: {{train: {{batch_size: 8}}, val: {{batch_size: 16}}}}", "batch_size", 8),
    (f"{ADAM}x: {{epochs: 8}}\ny: {{max_epochs: 8}}", "epochs", 8),
    (f"{ADAM}x: {{epochs: true}}", "epochs", None),
])  # fmt: skip
def test_a_value_is_found(text: str, setting: str, value: Any, registries: Registries) -> None:
    """What references lead to, wherever it stands."""
    assert read(text, registries).settings.get(setting) == value


@for_each(("text", "said"), [
    ("lr: ${oc.env:LR}", r"lr: \$\{oc.env:LR\} is not a plain reference such as \$\{a.b\}"),
    ("lr: ${eval:'1/2'}", "is not a plain reference"),
    ("name: run-${lr}\nlr: 1", r"name: run-\$\{lr\} is not a plain reference"),
    ("lr: ${a.${b}}\nb: c", "is not a plain reference"),
    ("lr: ${nothing.there}", r"lr: \$\{nothing.there\} leads to nothing in this file"),
    ("lr: ${a}\na: ${lr}", "lr: .* leads from one reference to another without an end"),
    ("a: {b: '${a}'}", r"a.b: \$\{a\} leads to what it stands in"),
    ("a: {x: '${b}'}\nb: {y: '${a}'}", r"leads to what it stands in"),
    (CHAIN, "is nested more than 100 levels deep"),
    ("lr: ???", "lr: it is [?]{3}, which is given when the program is started"),
    ("lr: ${a}\na: ???", "lr: it is [?]{3}"),
    ("loss: {_target_: my.Loss}", "loss: 'my.Loss' is not a class of a loss"),
    ("callback: {_target_: my.Callback}", "not a loss, an optimizer or a schedule: callback .my.Callback.$"),
    ("model: {_target_: my.Net, backbone: {_target_: my.Body}}", "optimizer or a schedule: model .my.Net.$"),
    ("second: {_target_: torch.optim.SGD}", "second: torch.optim.SGD is a second optimizer"),
    ("loss: {_target_: torch.nn.MSELoss, _args_: [mean]}", "loss: arguments without names"),
    ("loss: {_target_: torch.nn.HuberLoss, delt: 2}", "loss: huber has no parameter 'delt'. Did you mean 'delta'?"),
    ("scheduler: {_target_: torch.optim.lr_scheduler.LambdaLR, lr_lambda: {_target_: my.f}}",
     "scheduler.lr_lambda: my.f is a function or an object, for which there is no text"),
    ("model: {_target_: my.Net, optimizer: {_target_: my.O, x: {_target_: torch.optim.SGD}}}", "model.optimizer: "),
    ("x: {epochs: 8}\ny: {max_epochs: 9}", "epochs: x.epochs=8 and y.max_epochs=9 are different"),
    ("gradient_clip_val: 1\ngradient_clip_algorithm: value", "gradient_clip_algorithm=value: "),
    ("seed: -3", "seed"),
    ("batch_size: 2.5", "batch_size"),
])  # fmt: skip
def test_what_cannot_be_carried_over_is_named(text: str, said: str, registries: Registries) -> None:
    """With its place in the file; the rest is converted."""
    found = read(f"{ADAM}{text}", registries)
    assert [one for one in found.left_out if re.search(said, one)], found.left_out
    assert found.settings["optimizer"] == "adam"


@for_each(("text", "said"), [
    ("a: 1", "train.yaml: nothing in it can be converted from hydra"),
    ("loss: {_target_: my.Loss}", "train.yaml: nothing in it can be converted from hydra\n  loss: 'my.Loss' is not"),
    (REPEATED, "with what references repeat there are more than 100,000 values"),
])  # fmt: skip
def test_what_is_wrong_is_one_error(text: str, said: str, registries: Registries) -> None:
    """A file without anything, and one that repeats itself without bounds."""
    with pytest.raises(ConfigError) as caught:
        read(text, registries)
    assert said in caught.value.message


@for_each("settings", [
    {"loss": "cross_entropy(label_smoothing=0.1)", "optimizer": "adamw(lr=0.001)", "scheduler": "cosine", "epochs": 9},
    {"loss": "huber(delta=2.0)", "optimizer": "sgd(lr=0.1)", "scheduler": "step_lr(step_size=3)", "batch_size": 8},
    {"optimizer": "adam", "clip_grad_norm": 2.0, "seed": 3, "accumulate": 4},
])  # fmt: skip
def test_what_is_written_is_read_as_the_same(settings: dict[str, Any], registries: Registries) -> None:
    """With all parameters that the component has."""
    spec = RunSpec(**settings)
    text, notes = write(spec, registries)
    assert notes == ()
    again = RunSpec(**read(text, registries).settings)
    for field in ("loss", "optimizer", "scheduler"):
        one, other = getattr(spec, field), getattr(again, field)
        if one is None:
            assert other is None
            continue
        entry = registries.of(field)[one.name]
        assert registries.of(field)[other.name].id == entry.id
        assert {**entry.component.defaults, **dict(other.params)} == {**entry.component.defaults, **dict(one.params)}
    for field in ("epochs", "batch_size", "accumulate", "clip_grad_norm", "seed"):
        assert getattr(again, field) == getattr(spec, field)


@for_each(("settings", "said"), [
    ({"scheduler": "warmup(cosine)"}, "scheduler: warmup(cosine): warmup is lossreg's own; no class equals it"),
    ({"scheduler": "lambda_lr(lr_lambda='epoch')"}, "scheduler: lambda_lr(lr_lambda='epoch'): the expression"),
    ({"scheduler": "sequential(linear, cosine, milestones=[2])"}, "scheduler: sequential(linear, cosine, "),
    ({"optimizer": "sam(sgd)"}, "optimizer: sam(sgd) is built by lossreg, which is needed where the file is used"),
    ({"param_groups": {"*.bias": "weight_decay=0"}}, "param_groups: a class has none"),
    ({"patience": 5}, "patience is left out: a YAML for instantiate has nothing like it"),
    ({"scheduler": "cosine", "scheduler_interval": "step"}, "scheduler: step it after each step of the optimizer"),
])  # fmt: skip
def test_what_a_class_does_not_have_is_said(settings: dict[str, Any], said: str, registries: Registries) -> None:
    """In a note; what cannot be written is not in the file."""
    text, notes = write(RunSpec(**settings), registries)
    assert [one for one in notes if one.startswith(said)], notes
    assert ("scheduler" in read_yaml(text, "out.yaml")) == ("scheduler_interval" in settings)
