"""Options that undo what a file says."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

FILE = """
loss = "dice"
model = "mlp"
scheduler = "lambda_lr(lr_lambda='1')"
scheduler_interval = "step"
loader = "dataloader"
workers = 0
clip_grad_norm = 1.5
limit_train = 64
limit_test = 32
eval_train = true
compile = true

[param_groups]
"*.bias" = {lr = 0.1}
"""


@pytest.fixture
def planned(lossreg_command: Command, tmp_path: Path) -> Any:
    """The settings of a plan with the file and a line of options; the switch `--no-compile` spares a compiler."""

    def plan(line: str) -> dict[str, Any]:
        Path(tmp_path, "run.toml").write_text(FILE)
        outcome = lossreg_command("plan", "-c", "run.toml", "--json", *shlex.split(line))
        assert (outcome.code, outcome.err) == (0, "")
        spec: dict[str, Any] = json.loads(outcome.out)["spec"]
        return spec

    return plan


@pytest.mark.parametrize(
    ("line", "key", "value"),
    [
        ("--no-compile", "compile", False),
        ("--no-compile --no-eval-train", "eval_train", False),
        ("--no-compile --clip-grad-norm none", "clip_grad_norm", None),
        ("--no-compile --clip-grad-norm None", "clip_grad_norm", None),
        ("--no-compile --limit-train none", "limit_train", None),
        ("--no-compile --limit-test none", "limit_test", None),
        ("--no-compile --param-groups none", "param_groups", {}),
        ("--no-compile --sched-interval none", "scheduler_interval", None),
        ("--no-compile --workers none", "workers", None),
        ("--no-compile --model none", "model", "builtin.mnist_cnn"),
        ("--no-compile --loss none", "loss", "builtin.cross_entropy"),
        ("--no-compile --sched none", "scheduler", None),
        ("--no-compile --sched none", "scheduler_interval", None),
        ("--no-compile --loader auto", "workers", None),
        ("--no-compile --loader resident", "workers", None),
        ("--no-compile --loader dataloader", "workers", 0),
    ],
)
def test_an_option_undoes_what_a_file_says(planned: Any, line: str, key: str, value: object) -> None:
    """`none` and `--no-` give a setting its default back; what it alone made sensible goes with it."""
    assert planned(line)[key] == value


def test_what_no_option_undoes_stays(planned: Any) -> None:
    """The other settings of the file are those of the plan."""
    spec = planned("--no-compile --sched none --loader auto")
    kept = {key: spec[key] for key in ("loss", "model", "clip_grad_norm", "limit_train", "eval_train", "param_groups")}
    assert kept == {
        "loss": "builtin.dice",
        "model": "builtin.mlp",
        "clip_grad_norm": 1.5,
        "limit_train": 64,
        "eval_train": True,
        "param_groups": {"*.bias": "lr=0.1"},
    }


@for_each_apart(
    ("line", "parts"),
    [
        ("--sched-interval step", ("scheduler_interval", "no effect")),
        ("--workers 2 --loader resident", ("workers", "no effect")),
        ("--param-groups none --param-groups '*.bias: lr=1'", ("--param-groups 'none'",)),
        ("--epochs none", ("--epochs", "'none'")),
        ("--eval-train --no-eval-train", ("given twice",)),
    ],
)
def test_an_option_without_effect_is_still_an_error(
    lossreg_command: Command, line: str, parts: tuple[str, ...]
) -> None:
    """What the line itself says must have an effect, and a setting that has to have a value takes no `none`."""
    outcome = lossreg_command("plan", *shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert [part for part in parts if part not in outcome.err] == []


def test_a_file_may_say_none(lossreg_command: Command, tmp_path: Path) -> None:
    """TOML has no null: the word `none` is for it."""
    Path(tmp_path, "run.toml").write_text('clip_grad_norm = "none"\nloss = "none"\nlimit_train = "none"\n')
    outcome = lossreg_command("plan", "-c", "run.toml", "--json")
    spec = json.loads(outcome.out)["spec"]
    assert (spec["clip_grad_norm"], spec["loss"], spec["limit_train"]) == (None, "builtin.cross_entropy", None)
