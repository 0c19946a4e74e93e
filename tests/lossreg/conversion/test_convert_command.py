"""`lossreg convert`: what goes to which stream, guessing, files, and errors."""

from __future__ import annotations

import io
import json
import sys
import tomllib
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import torch

import lossreg
from lossreg.conversion.formats import FORMATS, guess_format
from lossreg.errors import ConfigError
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

ARGS = "opt: adamw\nlr: 0.001\nweight_decay: 0.05\nsched: cosine\nwarmup_epochs: 0\nepochs: 3\nmixup: 0.8\n"


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A working directory with a file."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "args.yaml").write_text(ARGS)
    return tmp_path


def test_toml_goes_to_stdout_and_what_is_said_to_stderr(lossreg_command: Command) -> None:
    """Each line of stderr is a note or a warning."""
    outcome = lossreg_command("convert", "args.yaml")
    assert outcome.code == 0
    settings = tomllib.loads(outcome.out)
    assert settings["optimizer"] == "adamw(lr=0.001, weight_decay=0.05)"
    assert settings["param_groups"] == {"ndim<=1 | *.bias": "weight_decay=0"}
    lines = outcome.err.splitlines()
    assert lines[0] == "note: args.yaml is read as timm, since it has opt; --from names another format"
    assert {line.partition(":")[0] for line in lines} == {"note", "warning"}
    assert [line for line in lines if line.startswith("warning: left out: mixup=0.8")]


def test_the_file_is_one_of_settings(lossreg_command: Command, folder: Path) -> None:
    """What is built of it has the rates of the file."""
    assert lossreg_command("convert", "args.yaml", "--out", "run.toml").out == ""
    parts = lossreg.parts(folder / "run.toml")
    optimizer = parts.optimizer(torch.nn.Linear(2, 2))
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    rates = []
    for _ in range(3):
        rates += scheduler.get_last_lr()[:1]
        optimizer.step()
        scheduler.step()
    assert rates == pytest.approx([0.001, 0.00075, 0.00025])


def test_settings_are_read_from_stdin(lossreg_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """`convert -` reads a file of another program there, and `-c -` one of settings."""
    stdin(monkeypatch, ARGS)
    outcome = lossreg_command("convert", "-", "--from", "timm")
    assert outcome.code == 0
    stdin(monkeypatch, 'optimizer = "adam(lr=0.5)"\n')
    plan = lossreg_command("plan", "-c", "-", "--model", "mlp", "--limit-train", "64", "--json")
    assert json.loads(plan.out)["spec"]["optimizer"] == "builtin.adam(lr=0.5)"
    stdin(monkeypatch, "optimiser = 3\n")
    wrong = lossreg_command("plan", "-c", "-")
    assert (wrong.code, wrong.out) == (2, "")
    assert wrong.err.startswith("lossreg: error: stdin: there is no key 'optimiser'. Did you mean 'optimizer'?")


def stdin(monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    """What is read next."""
    monkeypatch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(text.encode())))


def test_json_has_all_of_it(lossreg_command: Command) -> None:
    """Settings, the text, notes and what is left out; stderr has the guess alone."""
    outcome = lossreg_command("convert", "args.yaml", "--json")
    found = json.loads(outcome.out)
    assert found.keys() == {"from", "to", "text", "settings", "notes", "left_out"}
    assert (found["from"], found["to"], found["settings"]["epochs"]) == ("timm", "lossreg", 3)
    assert tomllib.loads(found["text"]) == found["settings"]
    assert outcome.err.count("\n") == 1


@for_each("target", ["timm", "hydra"])
def test_settings_are_written_and_read_again(target: str, lossreg_command: Command, folder: Path) -> None:
    """From a file of settings, and straight from another format."""
    (folder / "run.toml").write_text('loss = "cross_entropy"\noptimizer = "adamw(lr=0.01)"\nepochs = 4\n')
    written = lossreg_command("convert", "run.toml", "--to", target, "--out", "made.yaml")
    assert (written.code, written.out) == (0, "")
    again = tomllib.loads(lossreg_command("convert", "made.yaml").out)
    assert again["optimizer"].startswith("adamw(")
    assert "lr=0.01" in again["optimizer"]
    assert again["epochs"] == 4
    assert lossreg_command("convert", "args.yaml", "--from", "timm", "--to", target).code == 0


@for_each(("arguments", "said"), [
    (("nothing.yaml",), "nothing.yaml cannot be read: No such file or directory"),
    (("",), "FILE is empty; name a file"),
    ((".",), ". is a directory; a run directory is converted with --to"),
    (("broken.yaml", "--from", "hydra"), "broken.yaml, line 2 is not YAML: "),
    (("plain.txt",), "plain.txt: it does not say of which program it is; write --from and one of mmengine, hydra, "
     "lightning, timm, or --to for settings of lossreg"),
    (("args.yaml", "--from", "hydra"), "args.yaml: nothing in it can be converted from hydra"),
    (("args.yaml", "--from", "timn"), "Invalid value for '--from': 'timn' is not one of"),
    (("args.yaml", "--to", "timm"), "args.yaml is not TOML: "),
    (("args.yaml", "--out", "args.yaml"), "--out 'args.yaml' is one of the inputs, which would be lost"),
    (("args.yaml", "--out", "no/such/run.toml"), "--out 'no/such/run.toml': there is no directory no/such"),
    (("bytes.yaml",), "bytes.yaml cannot be read: it is not text"),
])  # fmt: skip
def test_what_is_wrong_is_one_error(
    arguments: tuple[str, ...], said: str, lossreg_command: Command, folder: Path
) -> None:
    """Exit code 2, nothing on stdout, nothing written."""
    (folder / "broken.yaml").write_text("a: [1\nb: 2\n")
    (folder / "plain.txt").write_text("hello")
    (folder / "bytes.yaml").write_bytes(b"\xff\xfe\x00")
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    outcome = lossreg_command("convert", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert f"lossreg: error: {said}" in outcome.err
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before


@for_each(("text", "name"), [
    (ARGS, "timm"),
    ("./distributed_train.sh 8 /data --model resnet50 --sched cosine", "timm"),
    ("a:\n  _target_: torch.nn.MSELoss", "hydra"),
    ("defaults:\n- model: a", "hydra"),
    ("seed_everything: 1\ntrainer:\n  max_epochs: 3", "lightning"),
    ("optimizer:\n  class_path: torch.optim.SGD", "lightning"),
    ("optim_wrapper = dict(optimizer=dict(type='SGD'))", "mmengine"),
    ("_base_ = ['a.py']", "mmengine"),
    ('{"param_scheduler": []}', "mmengine"),
])  # fmt: skip
def test_the_format_is_found_by_what_is_in_a_file(text: str, name: str) -> None:
    """By what only its files have."""
    assert guess_format(text, "file")[0] == name


def test_every_format_is_in_the_help(lossreg_command: Command) -> None:
    """With what files it is of."""
    said = lossreg_command("convert", "--help").out
    assert [name for name in FORMATS if name not in said] == []
    with pytest.raises(ConfigError, match="there is no format 'x'; formats: mmengine, hydra, lightning, timm"):
        lossreg.conversion.formats.format_module("x")


def test_nothing_that_a_file_names_is_imported(lossreg_command: Command, folder: Path) -> None:
    """A module beside the file, whose import would leave a trace."""
    (folder / "spy.py").write_text("import pathlib; pathlib.Path('seen').touch()\nclass AdamW: pass\n")
    (folder / "train.yaml").write_text("optimizer: {_target_: spy.AdamW}\nloss: {_target_: torch.nn.MSELoss}\n")
    outcome = lossreg_command("convert", "train.yaml")
    assert (outcome.code, outcome.out) == (0, 'loss = "mse"\n')
    assert "warning: left out: optimizer: 'spy.AdamW' is not a class of an optimizer that lossreg knows" in outcome.err
    assert not (folder / "seen").exists()
    assert "spy" not in sys.modules


def test_a_number_that_is_too_large_is_refused(lossreg_command: Command, tmp_path: Path) -> None:
    """Beyond what a float holds."""
    (tmp_path / "args.yaml").write_text(f"opt: sgd\nlr: 1{'0' * 400}\n")
    outcome = lossreg_command("convert", "args.yaml", "--from", "timm")
    assert outcome.code == 2
    assert "args.yaml: a number in it is too large" in outcome.err
