"""Settings as a config of MMEngine; what MMEngine makes of one is in tests/lossreg/adapters."""

from __future__ import annotations

from typing import Any

import pytest

import lossreg
from lossreg.conversion.mmengine import read, write
from lossreg.conversion.mmengine.config import read_config
from lossreg.run_spec import RunSpec
from tests.table import for_each


@pytest.fixture(scope="module")
def registries() -> lossreg.Registries:
    """Those of lossreg alone."""
    return lossreg.load_registries(allow=[], bridges=False)


def test_a_config_is_python_of_literals(registries: lossreg.Registries) -> None:
    """Defaults of lossreg that the class does not have are written out."""
    spec = RunSpec(
        optimizer="sgd(lr=0.1)", scheduler="warmup(cosine, length=3)", epochs=12, accumulate=2, clip_grad_norm=1.0,
        param_groups={"*head*": "lr=x10"}, loss="cross_entropy(label_smoothing=0.1)", precision="bf16",
    )  # fmt: skip
    text, notes = write(spec, registries)
    assert text == (
        "optim_wrapper = dict(\n"
        "    type='AmpOptimWrapper',\n"
        "    dtype='bfloat16',\n"
        "    optimizer=dict(type='SGD', lr=0.1, weight_decay=0.0, momentum=0.9),\n"
        "    accumulative_counts=2,\n"
        "    clip_grad=dict(max_norm=1.0),\n"
        "    paramwise_cfg=dict(custom_keys=dict(head=dict(lr_mult=10.0))),\n"
        ")\n"
        "param_scheduler = [\n"
        f"    dict(type='LinearLR', start_factor={1 / 3!r}, end=4, by_epoch=True),\n"
        "    dict(type='CosineAnnealingLR', T_max=9, eta_min=0.0, begin=3, by_epoch=True),\n"
        "]\n"
        "train_cfg = dict(by_epoch=True, max_epochs=12)\n"
        "train_dataloader = dict(batch_size=64)\n"
        "randomness = dict(seed=0)\n"
        "model = dict(loss=dict(type='torch.nn.CrossEntropyLoss', label_smoothing=0.1))\n"
    )
    assert [note.partition(":")[0] for note in notes] == ["model"]
    assert not read_config(text, "config.py")[1]


def test_what_is_written_is_read_as_the_same(registries: lossreg.Registries) -> None:
    """Settings that MMEngine has, there and back; defaults are written out."""
    spec = RunSpec(
        optimizer="adamw(lr=0.01, weight_decay=0.1)", scheduler="step_lr(step_size=3)", epochs=7, seed=3, batch_size=32,
        accumulate=2, clip_grad_norm=1.5, precision="16", deterministic=True, loss="huber(delta=2.0)",
        param_groups={"*head*": "lr=x10.0", "*.scale* | scale* & !*.*": "weight_decay=0"},
    )  # fmt: skip
    text, _ = write(spec, registries)
    found = RunSpec(**read(text, "config.py", registries).settings)
    same = {**dict(spec.items()), "scheduler": "step_lr(gamma=0.1, step_size=3)"}
    same["param_groups"] = {
        "*.scale* | scale* & !*.*": "weight_decay=0", "*head* & !(*.scale* | scale* & !*.*)": "lr=x10.0",
    }  # fmt: skip
    assert dict(found.items()) == same


def test_an_average_of_the_weights(registries: lossreg.Registries) -> None:
    """MMEngine says how much of the new weights goes into it, and lossreg how much of the old average stays."""
    text, notes = write(RunSpec(weights="ema(0.9998)"), registries)
    assert read_config(text, "config.py")[0]["custom_hooks"] == [{"type": "EMAHook", "momentum": 0.0002}]
    assert not notes
    assert read(text, "config.py", registries).settings["weights"] == "ema(0.9998)"


def test_a_training_by_steps_counts_iterations(registries: lossreg.Registries) -> None:
    """Of which as many make a step as are accumulated."""
    text, notes = write(RunSpec(max_steps=100, accumulate=4), registries)
    assert read_config(text, "config.py")[0]["train_cfg"] == {"by_epoch": False, "max_iters": 400}
    assert any("epochs=20 is left out" in note for note in notes)


@for_each(
    "settings, said",
    [
        ({"scheduler": "lambda_lr(lr_lambda='1')"}, "MMEngine has no schedulers with the rates of this expression"),
        ({"scheduler": "cosine_warm_restarts(T_0=3)"}, "MMEngine has no scheduler"),
        ({"scheduler": "cosine", "scheduler_interval": "step"}, "how many steps there are is not known; write T_max"),
        ({"scheduler": "sequential(cosine(T_max=5), step_lr(step_size=2), milestones=[5])"}, "goes on from the rate"),
        ({"scheduler": "sequential(linear(total_iters=9), cosine, milestones=[5])"}, "goes on from the rate"),
        ({"scheduler": "warmup(step_lr(step_size=9), length='5%')", "scheduler_interval": "step"}, "write a number"),
        ({"scheduler": "step_lr(step_size=3)", "scheduler_interval": "step", "accumulate": 2}, "counts steps"),
        ({"scheduler": "plateau"}, "monitor='test_loss' has to be the name"),
        ({"scheduler": "one_cycle(max_lr=1.0, total_steps=9)"}, "leaves the momentum alone"),
        ({"optimizer": "sam(sgd)"}, "optimizer: sam(sgd)"),
        ({"param_groups": {"ndim==1": "weight_decay=0"}}, "param_groups: ndim==1: a paramwise_cfg has no pattern"),
        ({"param_groups": {"*x*": "adam"}}, "param_groups: *x*: a paramwise_cfg has no pattern"),
        ({"optimizer": "adamw", "param_groups": {"no_decay": True, "*x*": "lr=x2"}}, "does not hold for parameters"),
        ({"param_groups": {"*.x*": "lr=x2"}}, "param_groups: *.x*: a paramwise_cfg has no pattern"),
        ({"loss": "dice"}, "is imported where the file is used"),
        ({"patience": 3}, "patience is left out"),
        ({"weights": "swa(start=0.5)"}, "weights=swa(start=0.5) is left out"),
        ({"weights": "ema(0.9)", "accumulate": 2}, "weights=ema(0.9) is left out"),
    ],
    ids=str,
)  # fmt: skip
def test_what_mmengine_has_not_is_said(registries: lossreg.Registries, settings: dict[str, Any], said: str) -> None:
    """And the rest is written."""
    text, notes = write(RunSpec(**settings), registries)
    assert any(said in note for note in notes), notes
    assert "train_dataloader = dict(batch_size=64)" in text
