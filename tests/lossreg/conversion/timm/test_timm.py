"""Arguments of timm's train.py as settings, and back; the adapters compare what they compute with timm itself."""

from __future__ import annotations

import re
from typing import Any

import pytest

import lossreg
from lossreg.conversion.formats import read_settings
from lossreg.conversion.result import Converted
from lossreg.conversion.timm import write
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> Registries:
    """The built-in components alone."""
    return lossreg.load_registries(allow=[])


def read(text: str, registries: Registries) -> Converted:
    """What a text gives."""
    return read_settings(text, "args.yaml", "timm", registries)


LINE = r"""
# as in the paper
torchrun --nproc-per-node=4 train.py /data/imagenet --model resnet50 --amp --amp-dtype bfloat16 -b 64 \
    --opt momentum --lr 0.4 --weight-decay=1e-4 --sched step --decay-epochs 30 --warmup-epochs 0 --epochs 90 \
    --smoothing 0 --clip-grad 1 --grad-accum-steps 2 --model-ema --model-ema-decay 0.99 --seed 7
"""
SETTINGS = {
    "loss": "cross_entropy",
    "optimizer": "sgd(lr=0.4, momentum=0.9, nesterov=False, weight_decay=0.0001)",
    "param_groups": {"ndim<=1 | *.bias": "weight_decay=0"},
    "epochs": 90,
    "scheduler": "step_lr(gamma=0.1, step_size=30)",
    "batch_size": 256,
    "accumulate": 2,
    "clip_grad_norm": 1,
    "seed": 7,
    "precision": "bf16",
    "weights": "ema(0.99)",
}


def test_a_command_line_is_read(registries: Registries) -> None:
    """With its short options, comments and broken lines; the batch is that of its processes together."""
    found = read(LINE, registries)
    assert found.settings == SETTINGS
    assert "batch_size is that of all 4 processes together; timm's is that of one" in found.notes
    assert any(
        re.search(r"not in args.yaml, .*: decay_rate=0.1, .*momentum=0.9|momentum=0.9", one) for one in found.notes
    )
    assert found.left_out == ('model=resnet50: a model is named by hand, as model = "timm.resnet50"',)


def test_yaml_and_command_line_say_the_same(registries: Registries) -> None:
    """The keys of args.yaml are the names of the options."""
    text = """
        amp: true
        amp_dtype: bfloat16
        batch_size: 256
        opt: momentum
        lr: 4e-1
        weight_decay: 1.0e-4
        sched: step
        decay_epochs: 30.0
        warmup_epochs: 0
        epochs: 90
        smoothing: 0.0
        clip_grad: 1
        grad_accum_steps: 2
        model_ema: true
        model_ema_decay: 0.99
        seed: 7
        mixup: 0.0
        drop_path: null
    """
    assert read(text, registries).settings == SETTINGS
    assert read(text, registries).left_out == ()


@for_each(("text", "setting", "value"), [
    ("opt: adamw\nsched: none", "scheduler", None),
    ("opt: adamw\nweight_decay: 0", "param_groups", None),
    ("opt: adamw\nopt_kwargs: {filter_bias_and_bn: false}", "param_groups", None),
    ("opt: adamw\nlayer_decay: 0.75", "param_groups", {"ndim<=1": "weight_decay=0", "layer_decay(0.75)": True}),
    ("opt: adamw\namp: false", "precision", "32"),
    ("opt: adamw", "precision", None),
    ("opt: adamw\namp: true", "precision", "16"),
    ("opt: adamw\nbce_loss: true\nsmoothing: 0", "loss", "cross_entropy"),  # as train.py chooses
    ("torchrun --nnodes 2 --nproc-per-node 8 train.py -b 32 --opt adamw", "batch_size", 512),
    ("opt: adamw\nwarmup_epochs: 0\nlr: 1", "scheduler", "cosine_annealing_lr"),
    ("opt: adamw\nwarmup_epochs: 2\nwarmup_lr: 1e-3\nlr: 0.1", "scheduler",
     "lambda_lr(lr_lambda='0.01 + 0.99 * epoch / 2 if epoch < 2 else 0.5 * (1 + cos(pi * epoch / epochs))')"),
    ("opt: adamw\nwarmup_epochs: 2\nwarmup_prefix: true\nlr: 1e-4", "epochs", 302),
    ("opt: adamw\nwarmup_epochs: 2\nwarmup_prefix: true\nlr: 1e-4", "scheduler",
     "warmup(cosine_annealing_lr, length=2, start_factor=0.1)"),
    ("opt: adamw\nlr: 1e-3\nsched: multistep\nwarmup_epochs: 0\ndecay_milestones: [30, 60]", "scheduler",
     "multi_step_lr(gamma=0.1, milestones=[29, 59])"),
    ("opt: adamw\nlr: 1e-3\nsched_on_updates: true\nwarmup_epochs: 0", "scheduler_interval", "step"),
    ("opt: lookahead_adam\nlr: 1e-3\nweight_decay: 0", "optimizer",
     "lookahead(adam(lr=0.001, weight_decay=0), alpha=0.5, k=6)"),
    ("opt: adamw\nlr: 1e-3\nopt_kwargs: {amsgrad: true}\nopt_betas: [0.9, 0.95]\nweight_decay: 0", "optimizer",
     "adamw(amsgrad=True, betas=[0.9, 0.95], lr=0.001, weight_decay=0)"),
    ("--opt adamw --lr 1e-3 --opt-kwargs amsgrad=True --opt-betas 0.9 0.95 --weight-decay 0", "optimizer",
     "adamw(amsgrad=True, betas=[0.9, 0.95], lr=0.001, weight_decay=0)"),
    ("--opt adamw --sched plateau --eval-metric loss --warmup-epochs 0 --lr 1", "scheduler",
     "reduce_lr_on_plateau(factor=0.1, monitor='test_loss', patience=10)"),
])  # fmt: skip
def test_an_argument_is_a_setting(text: str, setting: str, value: Any, registries: Registries) -> None:
    """In the words of lossreg."""
    assert read(text, registries).settings.get(setting) == value


@for_each(("text", "said"), [
    ("opt: adamw\nmixup: 0.8\ncutmix: 1.0", "mixup=0.8, cutmix=1.0: samples are not mixed"),
    ("opt: adamw\njsd_loss: true", "jsd_loss: "),
    ("opt: adamw\nbce_loss: true", "no loss named 'timm.binary_cross_entropy'|timm"),
    ("opt: adamw\nclip_grad: 0.1\nclip_mode: agc", "clip_mode=agc: gradients are clipped by their norm alone"),
    ("opt: adamw\nlr_noise: [0.4, 0.9]", "lr_noise: the rates have no noise"),
    ("opt: adamw\nsched: tanh", "sched=tanh: lossreg has no schedule of this shape, so that the rate is constant"),
    ("opt: adamw\nlr_cycle_limit: 2\nlr_cycle_mul: 0.5", "lr_cycle_mul: cycles of several lengths are only read"),
    ("opt: adamw\nlayer_decay: 0.7\nlayer_decay_min_scale: 0.1", "layer_decay_min_scale=0.1"),
    ("opt: adamw\nmodel_ema: true\nmodel_ema_warmup: true", "model_ema_warmup: "),
    ("opt: adamw\naa: rand-m9\nreprob: 0.25", "of data, augmentation and model: aa=rand-m9, reprob=0.25"),
    ("opt: adamw\nlog_interval: 50\nworkers: 0", "not of the recipe: log_interval$"),
    ("opt: adamw\nopt_kwargs: {nu: 1}", "opt_kwargs: adamw has no parameter 'nu'"),
    ("opt: foo\nlr: 1", "opt=foo: "),
    ("opt: adamw\nsched: plateau\neval_metric: top5\nwarmup_epochs: 0", "eval_metric=top5: the schedule follows"),
    ("opt: adamw\nsched: plateau\nsched_on_updates: true", "sched=plateau with sched_on_updates"),
    ("opt: adamw\nsched: plateau\nwarmup_lr: 0\nlr: 1", "sched=plateau: its warm-up starts at 0 or above lr"),
    ("opt: adamw\nsched: step\ndecay_epochs: 0", "sched=step: decay_epochs is 0"),
    ("opt: adamw\nsched: multistep\nwarmup_lr: 0\ndecay_milestones: [" + "1, " * 20 + "2]",
     "sched=multistep: its rates are no expression that lossreg takes"),
])  # fmt: skip
def test_what_cannot_be_carried_over_is_named(text: str, said: str, registries: Registries) -> None:
    """The rest is converted."""
    found = read(text, registries)
    assert [one for one in found.left_out if re.search(said, one)], found.left_out
    assert found.settings["epochs"] > 0


@for_each(("text", "said"), [
    ("lr: fast", "args.yaml: lr is a number of at least 0, not 'fast'"),
    ("opt: adamw\nepochs: 2.5", "args.yaml: epochs is a whole number, not 2.5"),
    ("opt: adamw\nepochs: 0", "args.yaml: epochs is a number of at least 1, not 0"),
    ("opt: adamw\nsmoothing: .nan", "args.yaml: smoothing is a number of at least 0, not nan"),
    ("opt: adamw\nsched: multistep\ndecay_milestones: [a]", "args.yaml: decay_milestones is a list of numbers, not"),
    ("--opt adamw --lr 'x", "args.yaml is not a command line: no closing quotation"),
    ("--opt adamw --lr", "args.yaml: --lr lacks its value"),
    ("--lr --opt adamw", "args.yaml: --lr lacks its value"),
    ("opt: adamw\nopt_kwargs: [1]", "args.yaml: opt_kwargs is a table of names and values, not [1]"),
    ("lr: 0.1\noptimizer: {_target_: a.B}", "args.yaml is not an args.yaml of timm's train.py: 'optimizer' is a table"),
    ("a: 1", "args.yaml: it has no argument of timm's train.py, such as opt, lr or sched"),
    ("--foo 1", "args.yaml: it has no argument of timm's train.py, such as opt, lr or sched"),
])  # fmt: skip
def test_what_is_wrong_is_one_error(text: str, said: str, registries: Registries) -> None:
    """It names the file and the argument."""
    with pytest.raises(ConfigError) as caught:
        read(text, registries)
    assert caught.value.message.startswith(said)


#: Settings that train.py can have -> the same, as they are read again where these are other words.
ROUND: list[tuple[dict[str, Any], dict[str, Any]]] = [
    ({"loss": "cross_entropy(label_smoothing=0.1)", "optimizer": "adamw(lr=0.001, weight_decay=0.05)", "epochs": 90,
      "param_groups": {"ndim<=1 | *.bias": "weight_decay=0"}, "scheduler": "cosine(eta_min=1e-05)"}, {}),
    ({"loss": "cross_entropy", "optimizer": "sgd(lr=0.1, momentum=0.8, nesterov=True)", "epochs": 30,
      "scheduler": "warmup(step_lr(step_size=10), length=5, start_factor=0.1)"}, {}),
    ({"loss": "cross_entropy", "optimizer": "sgd(lr=0.1)", "scheduler": "multi_step(milestones=[3, 5])"}, {}),
    ({"loss": "cross_entropy", "optimizer": "adam(lr=0.1, betas=[0.8, 0.9])", "scheduler": "polynomial(power=2.0)",
      "scheduler_interval": "step"}, {}),
    ({"loss": "cross_entropy", "optimizer": "adam(lr=0.1)", "weights": "ema(0.99)", "clip_grad_norm": 2.0, "seed": 3,
      "batch_size": 32, "accumulate": 4, "precision": "bf16"}, {}),
    ({"loss": "cross_entropy", "optimizer": "sgd(lr=0.1)",
      "scheduler": "plateau(monitor='test_accuracy', factor=0.5, patience=3)"}, {}),
    ({"loss": "cross_entropy", "optimizer": "rmsprop(lr=0.1, momentum=0.5)"}, {}),
]  # fmt: skip


@for_each(("settings", "other"), ROUND)
def test_what_is_written_is_read_as_the_same(
    settings: dict[str, Any], other: dict[str, Any], registries: Registries
) -> None:
    """Optimizer, groups and schedule with all their parameters, and the settings of the loop."""
    spec = RunSpec(**settings)
    text, _ = write(spec, registries)
    again = RunSpec(**{**read(text, registries).settings, **other})
    for field in ("loss", "optimizer", "scheduler"):
        kind = registries.of(field)
        assert complete(getattr(again, field), kind) == complete(getattr(spec, field), kind), text
    for field in ("param_groups", "epochs", "batch_size", "accumulate", "clip_grad_norm", "seed", "weights"):
        expected = "raw" if field == "weights" and spec.weights == "auto" else getattr(spec, field)
        assert (getattr(again, field) if getattr(again, field) != "auto" else "raw") == expected, (field, text)


def complete(spec: lossreg.ComponentSpec | None, registry: Any) -> Any:
    """A component with all its parameters, nested ones too."""
    if spec is None:
        return None
    entry = registry[spec.name]
    params = dict(spec.params)
    nested = tuple(complete(one, registry) for one in spec.nested)
    return entry.id, {**entry.component.defaults, **params}, nested


@for_each(("settings", "said"), [
    ({"scheduler": "one_cycle(max_lr=0.1)"}, "scheduler: train.py does not have one_cycle"),
    ({"scheduler": "cosine(T_max=3)"}, "scheduler: train.py does not have cosine"),
    ({"optimizer": "sam(sgd)"}, "optimizer: train.py does not have sam"),
    ({"optimizer": "sgd(lr=0.1, scheduler=cosine)"}, "sgd: scheduler=cosine is left out, which only lossreg obeys"),
    ({"loss": "dice"}, "loss: train.py does not have dice, so that it is cross-entropy"),
    ({"loss": "cross_entropy(ignore_index=3)"}, "loss: train.py has no ignore_index"),
    ({"weights": "swa"}, "weights: train.py does not have swa"),
    ({"max_steps": 100}, "max_steps is left out: train.py has nothing like it"),
    ({"param_groups": {"*.weight": "lr=x0.1"}}, "param_groups: train.py has no group"),
    ({"optimizer": "adamw(lr=0.1)"}, "weight_decay is for all parameters here, which opt_kwargs says"),
])  # fmt: skip
def test_what_train_py_does_not_have_is_said(settings: dict[str, Any], said: str, registries: Registries) -> None:
    """In a note."""
    _, notes = write(RunSpec(**settings), registries)
    assert [one for one in notes if one.startswith(said)], notes
