"""`lossreg convert` of a config of MMEngine and of a YAML of LightningCLI, up to a plan."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.conftest import Command

CONFIG = """
_base_ = ['base/schedule.py']
import os
optim_wrapper = dict(paramwise_cfg=dict(bias_decay_mult=0.0), clip_grad=dict(max_norm=os.environ['NORM']))
"""
BASE = """
optim_wrapper = dict(type='OptimWrapper', optimizer=dict(type='SGD', lr=0.1, momentum=0.9, weight_decay=1e-4))
param_scheduler = [dict(type='LinearLR', start_factor=0.1, by_epoch=False, begin=0, end=3),
                   dict(type='MultiStepLR', by_epoch=True, milestones=[2, 3], gamma=0.5)]
train_cfg = dict(max_epochs=4)
"""


def test_a_config_becomes_a_plan(lossreg_command: Command, tmp_path: Path) -> None:
    """The format is found, what is no literal is named with its line, and the settings are those of a run."""
    (tmp_path / "base").mkdir()
    (tmp_path / "base" / "schedule.py").write_text(BASE)
    (tmp_path / "config.py").write_text(CONFIG)
    made = lossreg_command("convert", "config.py", "--out", "run.toml")
    assert made.code == 0
    assert "note: config.py is read as mmengine" in made.err
    assert "max_norm: config.py, line 4: os.environ['NORM'] is not a literal" in made.err
    plan = lossreg_command("plan", "-c", "run.toml", "--limit-train", "256", "--json")
    assert plan.code == 0, plan.err
    rates = json.loads(plan.out)["learning_rates"]
    assert [round(first, 9) for first, _ in rates] == [0.01, 0.1, 0.05, 0.025]


def test_lightning_reads_what_mmengine_has(lossreg_command: Command, tmp_path: Path) -> None:
    """From one program to another, without a name in the file being imported."""
    (tmp_path / "config.py").write_text(
        "import evil_module\nfrom evil_module import x\n"
        "optim_wrapper = dict(optimizer=dict(type='Adam', lr=0.1))\n"
        "param_scheduler = dict(type='StepLR', step_size=3)\n"
    )
    made = lossreg_command("convert", "config.py", "--from", "mmengine", "--to", "lightning", "--out", "run.yaml")
    assert made.code == 0
    assert "evil_module" not in sys.modules
    back = lossreg_command("convert", "run.yaml", "--from", "lightning", "--json")
    assert json.loads(back.out)["settings"]["scheduler"] == "step_lr(gamma=0.1, step_size=3)"
    assert json.loads(back.out)["settings"]["optimizer"] == "adam(lr=0.1)"


def test_what_is_broken_leaves_no_file(lossreg_command: Command, tmp_path: Path) -> None:
    """One line, exit code 2."""
    (tmp_path / "config.py").write_text("optim_wrapper = dict(\nx = 1")
    made = lossreg_command("convert", "config.py", "--from", "mmengine", "--out", "run.toml")
    assert (made.code, made.out) == (2, "")
    assert made.err.startswith("lossreg: error: config.py, line ")
    assert not (tmp_path / "run.toml").exists()
