"""`lossreg convert` prints nothing that a run refuses, and writes nothing from settings that a run refuses."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lossreg.conversion.formats import FORMATS
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

SGD = "optimizer: {_target_: torch.optim.SGD, lr: 0.1}\n"
HUGE = "1" + "0" * 400


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory."""
    monkeypatch.chdir(tmp_path)
    return tmp_path


@for_each(("text", "gone", "said"), [
    (f"optimizer: {{_target_: torch.optim.SGD, lr: {HUGE}}}", "optimizer", "cannot step on cpu: OverflowError"),
    ("optimizer: {_target_: torch.optim.SGD, lr: -0.1}", "optimizer", "ValueError: Invalid learning rate: -0.1"),
    ("optimizer: {_target_: torch.optim.SGD, lr: .inf}", "optimizer", "the learning rate reaches inf"),
    ("optimizer: {_target_: torch.optim.AdamW, eps: -3.0}", "optimizer", "ValueError: Invalid epsilon value: -3"),
    (f"{SGD}loss: {{_target_: torch.nn.CrossEntropyLoss, label_smoothing: 3.0}}", "loss",
     "label_smoothing must be between 0.0 and 1.0"),
    (f"{SGD}scheduler: {{_target_: torch.optim.lr_scheduler.ExponentialLR, gamma: -1.0}}", "scheduler",
     "the learning rate is -0.1, which leads up the loss, in epoch 1"),
    (f"{SGD}lr_scheduler: {{scheduler: {{_target_: torch.optim.lr_scheduler.OneCycleLR, max_lr: 1.0, total_steps: 9}}, "
     "interval: epoch}", "scheduler", "Tried to step 10 times"),
])  # fmt: skip
def test_what_a_run_refuses_is_left_out_and_named(
    text: str, gone: str, said: str, lossreg_command: Command, folder: Path
) -> None:
    """With the reason of `lossreg plan`; the rest is printed. Each line of stderr is short."""
    (folder / "x.yaml").write_text(f"max_epochs: 12\n{text}\n")
    outcome = lossreg_command("convert", "x.yaml")
    assert outcome.code == 0
    settings = tomllib.loads(outcome.out)
    assert settings.keys() == {"epochs", "optimizer", *({"loss", "scheduler"} & {gone})} - {gone}
    warnings = [line for line in outcome.err.splitlines() if line.startswith(f"warning: left out: {gone}")]
    assert any(said in line for line in warnings), outcome.err
    assert max(map(len, outcome.err.splitlines())) < 500


@for_each("text", [
    "optimizer: {_target_: torch.optim.SparseAdam, lr: 0.1}",
    "optimizer: {_target_: torch.optim.LBFGS, lr: 0.1}",
    f"{SGD}loss: {{_target_: torch.nn.CTCLoss, blank: 1}}",
    f"{SGD}loss: {{_target_: torch.nn.CrossEntropyLoss, weight: [1.0, 2.0, 3.0, 4.0, 5.0, 6.0]}}",
    f"{SGD}scheduler: {{_target_: torch.optim.lr_scheduler.OneCycleLR, max_lr: 1.0, total_steps: 10000}}",
    f"{SGD}scheduler: {{_target_: torch.optim.lr_scheduler.CosineAnnealingLR, T_max: 500}}",
    f"{SGD}scheduler: {{_target_: torch.optim.lr_scheduler.ReduceLROnPlateau, monitor: val_mae}}",
])  # fmt: skip
def test_what_fits_other_data_or_models_is_kept(text: str, lossreg_command: Command, folder: Path) -> None:
    """Only what no run takes is left out: neither the model nor the length of an epoch is in a file."""
    (folder / "x.yaml").write_text(text)
    outcome = lossreg_command("convert", "x.yaml")
    assert outcome.code == 0
    assert "warning" not in outcome.err
    assert len(tomllib.loads(outcome.out)) == 1 + text.count("scheduler: ") + text.count("loss: ")


def test_options_of_groups_are_tried(lossreg_command: Command, folder: Path) -> None:
    """On any parameter, since the patterns are of a model that is not there; and they go with their optimizer."""
    groups = "paramwise_cfg=dict(bias_lr_mult=2.0)"
    for lr, left in (("-1", "param_groups: they are options of the optimizer, which is left out"), ("1", None)):
        (folder / "x.py").write_text(f"optim_wrapper = dict(optimizer=dict(type='SGD', lr={lr}), {groups})\n")
        outcome = lossreg_command("convert", "x.py")
        assert ("param_groups" in tomllib.loads(outcome.out)) == (left is None)
        assert left is None or f"warning: left out: {left}\n" in outcome.err


@for_each("target", FORMATS)
def test_settings_that_a_run_refuses_are_written_for_no_program(
    target: str, lossreg_command: Command, folder: Path
) -> None:
    """A name, a parameter or a value that is wrong is an error: exit code 2, and nothing on stdout."""
    for text, said in (
        ('optimizer = "sgdd"', "no optimizer named 'sgdd'. Did you mean 'sgd'"),
        ('optimizer = "sgd(momentun=1)"', "sgd has no parameter 'momentun'. Did you mean 'momentum'?"),
        ('optimizer = "sgd(lr=-1)"', "run.toml: sgd(lr=-1"),
        ('scheduler = "stepp_lr"', "no scheduler named 'stepp_lr'. Did you mean 'step_lr'"),
        ('loss = "huber(delta=-1)"', "run.toml: loss huber(delta=-1): its parameter delta is wrong"),
        ('param_groups = {"*.bias" = "wd=0"}', "run.toml: param_groups '*.bias': sgd has no parameter 'wd'"),
    ):
        (folder / "run.toml").write_text(text)
        outcome = lossreg_command("convert", "run.toml", "--to", target)
        assert (outcome.code, outcome.out) == (2, ""), text
        assert outcome.err.startswith(f"lossreg: error: {said}"), outcome.err


@for_each("target", FORMATS)
def test_an_optimizer_that_a_program_does_not_have_is_named(
    target: str, lossreg_command: Command, folder: Path
) -> None:
    """On stderr, with exit code 0: the settings are right, and the rest of them is written."""
    (folder / "run.toml").write_text('optimizer = "sam(sgd(lr=0.1))"\nepochs = 3\n')
    outcome = lossreg_command("convert", "run.toml", "--to", target)
    assert outcome.code == 0
    assert [line for line in outcome.err.splitlines() if "sam(sgd(lr=0.1))" in line]
    assert "3" in outcome.out


def test_an_empty_file_of_settings_is_a_run_of_defaults(lossreg_command: Command, folder: Path) -> None:
    """As for `lossreg run -c`; a note says so."""
    (folder / "run.toml").write_text("")
    outcome = lossreg_command("convert", "run.toml", "--to", "lightning")
    assert outcome.code == 0
    assert outcome.err == "note: run.toml sets nothing: what is written is a run with the defaults of lossreg\n"
    assert "max_epochs: 20" in outcome.out


@for_each(("name", "text", "said"), [
    ("x.yaml", "opt: sgd\nlr: 0.1\nopt: adamw\n", "x.yaml, line 3 is not YAML: the key 'opt' occurs twice"),
    ("x.yaml", "a:\n  _target_: torch.optim.SGD\n  lr: 1\n  'lr': 2\n", "x.yaml, line 4 is not YAML: the key 'lr'"),
    ("x.json", '{"optim_wrapper": {"a": 1, "b": 2, "b": 3}}',
     "x.json is not JSON that can be read: the key 'b' occurs twice"),
])  # fmt: skip
def test_a_key_that_occurs_twice_is_an_error(
    name: str, text: str, said: str, lossreg_command: Command, folder: Path
) -> None:
    """As it is in TOML: which of the two is meant is not known."""
    (folder / name).write_text(text)
    outcome = lossreg_command("convert", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"lossreg: error: {said}" in outcome.err


def test_a_key_may_be_written_over_what_is_merged(lossreg_command: Command, folder: Path) -> None:
    """`<<` brings the keys of another table, which those beside it replace, at any depth."""
    (folder / "x.yaml").write_text(
        "y: {<<: &x {<<: &b {lr: 0.3}, lr: 0.1, betas: [0.8, 0.9]}, c: 3}\n"
        "optimizer: {<<: *x, lr: 0.2, _target_: torch.optim.Adam}\n"
    )
    outcome = lossreg_command("convert", "x.yaml")
    assert outcome.out == 'optimizer = "adam(betas=[0.8, 0.9], lr=0.2)"\n'


@for_each("text", [
    'opt: "adamw\\nwarning: seed = 5\\e[31m"\nlr: 0.1\nepochs: 2\n',
    '"a\\nwarning: seed = 5\\e[31m": {_target_: torch.optim.Adam, lr: "${q}"}\n',
    'optimizer: {_target_: torch.optim.Adam, "x\\nwarning: seed = 5\\e[31m": 1}\n',
    'optimizer: {class_path: torch.optim.Adam, "x\\nwarning: seed = 5\\e[31m": 1}\n',
])  # fmt: skip
def test_what_a_file_says_stays_in_its_line(text: str, lossreg_command: Command, folder: Path) -> None:
    """Line breaks and control characters of a value or a key are shown as they are written in Python."""
    (folder / "x.yaml").write_text(text)
    err = lossreg_command("convert", "x.yaml").err
    assert "seed = 5" in err
    assert not [line for line in err.splitlines() if line.startswith("warning: seed")]
    assert "\x1b" not in err


def test_notes_are_whole_in_json(lossreg_command: Command, folder: Path) -> None:
    """What is left out after a trial is there, too."""
    (folder / "x.yaml").write_text(f"{SGD}loss: {{_target_: torch.nn.HuberLoss, delta: -1.0}}")
    found = json.loads(lossreg_command("convert", "x.yaml", "--json").out)
    assert found["settings"] == {"optimizer": "sgd(lr=0.1, momentum=0)"}
    assert [one.partition(":")[0] for one in found["left_out"]] == ["loss huber(delta=-1.0)"]


def test_a_file_of_which_nothing_is_left_is_an_error(lossreg_command: Command, folder: Path) -> None:
    """With what was left out, a line each."""
    (folder / "x.yaml").write_text("optimizer: {_target_: torch.optim.SGD, lr: -1.0}\n")
    outcome = lossreg_command("convert", "x.yaml", "--out", "run.toml")
    assert outcome.code == 2
    assert "x.yaml: nothing in it can be converted from hydra\n  optimizer: sgd(lr=-1.0" in outcome.err
    assert not (folder / "run.toml").exists()


def test_an_expression_of_steps_is_tried_for_some(lossreg_command: Command, folder: Path) -> None:
    """Not for all steps of a training, which is not known to have an end; its errors are found."""
    (folder / "x.txt").write_text("--opt sgd --lr 0.1 --epochs 300 --warmup-epochs 5 --sched-on-updates")
    outcome = lossreg_command("convert", "x.txt", "--from", "timm")
    assert tomllib.loads(outcome.out)["scheduler_interval"] == "step"
    (folder / "run.toml").write_text(
        "scheduler = \"lambda_lr(lr_lambda='1 / (3 - step)')\"\nscheduler_interval = 'step'\nepochs = 300\n"
    )
    outcome = lossreg_command("convert", "run.toml", "--to", "hydra")
    assert outcome.code == 2
    assert "division" in outcome.err


def test_a_metric_that_settings_name_may_be_followed(lossreg_command: Command, folder: Path) -> None:
    """It is there in a run of theirs, and so is that of a validation split."""
    for settings in (
        "metrics = ['f1']\nscheduler = \"plateau(monitor='test_f1')\"\n",
        "validate = 0.1\nscheduler = \"warmup(plateau(monitor='validation_loss'), length=2)\"\n",
    ):
        (folder / "run.toml").write_text(settings)
        outcome = lossreg_command("convert", "run.toml", "--to", "mmengine")
        assert outcome.code == 0, outcome.err


def test_the_settings_of_a_past_run_are_tried(lossreg_command: Command, folder: Path) -> None:
    """As those of a file are."""
    run = ("run", "--limit-train", "64", "--epochs", "1", "--model", "mlp", "--opt.lr", "0.125", "--out", "first")
    assert lossreg_command(*run, "--param-groups", "*.bias: weight_decay=0").code == 0
    outcome = lossreg_command("convert", "first", "--to", "timm")
    assert outcome.code == 0
    assert "lr: 0.125" in outcome.out
