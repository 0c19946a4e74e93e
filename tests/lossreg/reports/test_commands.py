"""The commands of a page repeat the run: they mean the settings that were recorded."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import Any

import click
import pytest

from lossreg.cli.main import cli
from lossreg.cli.run_settings import settings_of
from lossreg.reports.commands import repeat_command
from lossreg.run_spec import RunSpec
from lossreg.training.record.reading import read_run
from tests.lossreg.reports.conftest import SETTINGS, WriteRun
from tests.table import for_each


def spec_of(line: str) -> dict[str, Any]:
    """The settings that a command line means, as the command itself reads it."""
    program, command, *words = shlex.split(line)
    assert (program, command) == ("lossreg", "run")
    run = cli.get_command(click.Context(cli), "run")
    assert run is not None
    with run.make_context("run", words) as context:
        return dict(settings_of(context).spec.items())


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"loss": "builtin.cross_entropy(label_smoothing=0.1)", "optimizer": "builtin.adam(lr=0.0003)"},
        {"scheduler": "builtin.lambda_lr(lr_lambda='epoch // 2 if epoch > 3 else 1')", "scheduler_interval": "step"},
        {"param_groups": {"*.bias": "weight_decay=0", "no_decay": True, "ndim>=2": "builtin.sgd(lr=0.02)"}},
        {"freeze": "features.*, !*.bias", "unfreeze": "features.*@2", "frozen_mode": "train"},
        {"compile": True, "eval_train": True, "device": "cpu", "precision": "32", "clip_grad_norm": 1.5},
        {"validate": "fold(2/5)", "patience": 3, "monitor": "validation_loss", "target": "validation_accuracy>=0.9"},
        {"loader": "dataloader", "workers": 0, "seed": 2**63 - 1, "weights": "ema(0.99)", "limit_train": 7},
        {"device": "-odd"},
    ],
    ids=repr,
)
def test_a_command_means_what_was_recorded(write_run: WriteRun, settings: dict[str, Any]) -> None:
    """Read as the command line reads it, the command gives the recorded settings, every one of them."""
    expected = dict(RunSpec.from_mapping({**SETTINGS, **settings}, "").items())
    run = write_run("run", **{**settings, "epochs": 20})
    command = repeat_command(read_run(run))
    assert command is not None
    assert spec_of(command) == expected


def test_a_file_of_components_is_named(write_run: WriteRun) -> None:
    """A component from a file needs the file."""
    components = {"loss": {"id": "local.mine", "file": "/home/me/my losses.py"}}
    command = repeat_command(read_run(write_run("run", loss="local.mine", record={"components": components})))
    assert command is not None
    assert command.startswith("lossreg run -p '/home/me/my losses.py' --loss local.mine ")


def test_a_python_object_has_no_command(write_run: WriteRun) -> None:
    """No command line can name it."""
    run = write_run("run", model=None, record={"objects": {"model": "mine.Net"}})
    assert repeat_command(read_run(run)) is None


@for_each(
    "spec",
    [
        {"loss": []}, {"loss": {"a": 1}}, {"loss": "((("}, {"epochs": "many"}, {"epochs": 10**400}, {"freeze": [1]},
        {"param_groups": 3}, {"param_groups": [[]]}, {"validate": {}}, {"weights": []}, {"unknown": 1},
        {"device": None}, {"workers": "x" * 100}, {"scheduler": True}, {"target": 3},
    ],
    ids=repr,
)  # fmt: skip
def test_settings_that_nothing_can_mean_have_no_command(tmp_path: Path, spec: dict[str, Any]) -> None:
    """Whatever a file holds that was changed by hand, there is no command and no error."""
    (tmp_path / "run.json").write_text(json.dumps({"format": 2, "status": "finished", "spec": spec}))
    assert repeat_command(read_run(tmp_path)) is None
