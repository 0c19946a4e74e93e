"""Settings from a file: TOML, JSON, and the run.json of a past run; options go before all of them."""

from __future__ import annotations

import json
import shlex
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import torch
from safetensors.torch import load_file

from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

TOML = """
loss = "dice(smooth=1)"
optimizer = "sgd(lr=0.5, momentum=0.25)"
scheduler = "lambda_lr(lr_lambda='1 / (1 + epoch)')"
data = "digits"
epochs = 2
batch_size = 32
seed = 7
device = "cpu"
limit_train = 64
limit_test = 32
eval_train = true
log_every = 1
"""

JSON = {
    "loss": "dice(smooth=1)",
    "optimizer": "sgd(lr=0.5, momentum=0.25)",
    "scheduler": None,
    "epochs": 2,
    "limit_train": 64,
    "eval_train": False,
}


def planned(command: Command, line: str) -> dict[str, Any]:
    """The plan for a command line, from a working directory with settings.toml and settings.json."""
    Path("settings.toml").write_text(TOML)
    Path("settings.json").write_text(json.dumps(JSON))
    outcome = command("plan", "--json", *shlex.split(line))
    assert outcome.code == 0, outcome.err
    plan: dict[str, Any] = json.loads(outcome.out)
    return plan


def ran(command: Command, line: str) -> dict[str, Any]:
    """The result of a run, which must end well."""
    outcome = command("run", "--json", "--quiet", *shlex.split(line))
    assert outcome.code == 0, outcome.err
    result: dict[str, Any] = json.loads(outcome.out)
    return result


def same_weights(one: str, other: str) -> bool:
    """Whether two run directories hold the same weights, bit for bit."""
    first, second = (load_file(Path(run, "model.safetensors")) for run in (one, other))
    return list(first) == list(second) and all(torch.equal(first[name], second[name]) for name in first)


@for_each_apart(
    ("key", "value"),
    [
        ("loss", "builtin.dice(smooth=1)"),
        ("optimizer", "builtin.sgd(lr=0.5, momentum=0.25)"),
        ("scheduler", "builtin.lambda_lr(lr_lambda='1 / (1 + epoch)')"),
        ("data", "builtin.digits"),
        ("model", "builtin.mnist_cnn"),
        ("epochs", 2),
        ("batch_size", 32),
        ("seed", 7),
        ("device", "cpu"),
        ("limit_train", 64),
        ("limit_test", 32),
        ("eval_train", True),
        ("log_every", 1),
    ],
)
def test_a_toml_file_sets_what_it_names(lossreg_command: Command, key: str, value: object) -> None:
    """Each key of a TOML file sets the field of that name; the model, which it does not name, is the data set's own."""
    assert planned(lossreg_command, "-c settings.toml")["spec"][key] == value


@for_each_apart(
    ("key", "value"),
    [
        ("loss", "builtin.dice(smooth=1)"),
        ("optimizer", "builtin.sgd(lr=0.5, momentum=0.25)"),
        ("scheduler", None),
        ("epochs", 2),
        ("limit_train", 64),
        ("limit_test", None),
        ("batch_size", 64),
        ("eval_train", False),
    ],
)
def test_a_json_file_sets_what_it_names(lossreg_command: Command, key: str, value: object) -> None:
    """Each key of a JSON file sets the field of that name, and what it does not name keeps its default."""
    assert planned(lossreg_command, "--config settings.json")["spec"][key] == value


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ("--epochs 5", "epochs", 5),
        ("--seed 0", "seed", 0),
        ("--limit-train 96", "limit_train", 96),
        ("--loss l1", "loss", "builtin.l1"),
        ("--opt adam", "optimizer", "builtin.adam"),
        ("--opt sgd", "optimizer", "builtin.sgd"),
        ("--loss dice", "loss", "builtin.dice"),
        ("--sched none", "scheduler", None),
        ("--model mlp", "model", "builtin.mlp"),
    ],
)
@pytest.mark.parametrize("order", ["{options} -c settings.toml", "-c settings.toml {options}"])
def test_an_option_goes_before_the_file(
    lossreg_command: Command, order: str, options: str, key: str, value: object
) -> None:
    """An option replaces what the file says, a component with all its parameters, wherever it stands in the line."""
    assert planned(lossreg_command, order.format(options=options))["spec"][key] == value


@for_each_apart(
    ("options", "key", "value"),
    [
        ("--opt.lr 0.125", "optimizer", "builtin.sgd(lr=0.125, momentum=0.25)"),
        ("--opt.nesterov true", "optimizer", "builtin.sgd(lr=0.5, momentum=0.25, nesterov=True)"),
        ("--opt.lr 1 --opt.momentum 0", "optimizer", "builtin.sgd(lr=1, momentum=0)"),
        ("--loss.smooth 2", "loss", "builtin.dice(smooth=2)"),
        ("--sched.lr_lambda 'epoch // 2'", "scheduler", "builtin.lambda_lr(lr_lambda='epoch // 2')"),
    ],
)
def test_a_dotted_option_edits_the_component_of_the_file(
    lossreg_command: Command, options: str, key: str, value: str
) -> None:
    """A dotted option sets one parameter of the file's component and keeps the others."""
    assert planned(lossreg_command, f"-c settings.toml {options}")["spec"][key] == value


def test_a_dotted_option_edits_the_component_that_replaces_the_files(lossreg_command: Command) -> None:
    """With `--opt adam --opt.lr 1` nothing of the file's optimizer is left."""
    plan = planned(lossreg_command, "-c settings.toml --opt adam --opt.lr 1")
    assert plan["spec"]["optimizer"] == "builtin.adam(lr=1)"


def test_an_empty_file_sets_nothing(lossreg_command: Command, tmp_path: Path) -> None:
    """A run with an empty TOML file is the run without it."""
    (tmp_path / "empty.toml").write_text("# nothing\n")
    assert planned(lossreg_command, "-c empty.toml")["spec"] == planned(lossreg_command, "")["spec"]


def test_a_plan_from_a_file_equals_the_plan_from_the_same_options(lossreg_command: Command) -> None:
    """A file and options that say the same give the same plan."""
    options = (
        "--loss 'dice(smooth=1)' --opt.lr 0.5 --opt.momentum 0.25 --sched lambda_lr "
        "--sched.lr_lambda '1 / (1 + epoch)' --data digits --epochs 2 --batch-size 32 --seed 7 --device cpu "
        "--limit-train 64 --limit-test 32 --eval-train --log-every 1"
    )
    assert planned(lossreg_command, "-c settings.toml") == planned(lossreg_command, options)


@pytest.fixture
def past(lossreg_command: Command, tmp_path: Path) -> str:
    """A finished run, with shuffled batches, momentum and a schedule, in the directory `past`."""
    (tmp_path / "settings.toml").write_text(TOML)
    ran(lossreg_command, "-c settings.toml --out past")
    return "past"


@pytest.mark.parametrize("written", ["past/run.json", "past", "past/"])
def test_a_past_run_is_repeated_with_the_same_weights(lossreg_command: Command, past: str, written: str) -> None:
    """The run.json of a finished run, or its directory, repeats the run, and the weights are equal bit for bit."""
    ran(lossreg_command, f"-c {written} --out again")
    assert same_weights(past, "again")


def test_another_seed_gives_other_weights(lossreg_command: Command, past: str) -> None:
    """A past run with another seed ends with other weights, so equal weights are no accident."""
    ran(lossreg_command, f"-c {past} --seed 8 --out again")
    assert not same_weights(past, "again")


def test_a_repeated_run_records_the_same_metrics(lossreg_command: Command, past: str) -> None:
    """The losses and accuracies of a repeated run are those of the first, at every logged step and epoch."""
    ran(lossreg_command, f"-c {past} --out again")
    measured = [
        [
            {key: value for key, value in json.loads(line).items() if key not in ("seconds", "samples_per_second")}
            for line in Path(run, "metrics.jsonl").read_text().splitlines()
        ]
        for run in (past, "again")
    ]
    assert [row["kind"] for row in measured[0]] == ["step", "step", "epoch"] * 2
    assert measured[0] == measured[1]


def test_a_repeated_run_has_the_same_spec(lossreg_command: Command, past: str) -> None:
    """The spec of a repeated run is the spec of the first, key by key."""
    ran(lossreg_command, f"-c {past} --out again")
    specs = [json.loads(Path(run, "run.json").read_text())["spec"] for run in (past, "again")]
    assert specs[0] == specs[1]


def test_a_run_of_nothing_but_defaults_is_repeated(lossreg_command: Command) -> None:
    """A run whose loss and model were left to the data set is repeated, too."""
    ran(lossreg_command, "--epochs 1 --limit-train 64 --limit-test 32 --device cpu --out past")
    ran(lossreg_command, "-c past --out again")
    assert same_weights("past", "again")


def test_options_go_before_a_past_run(lossreg_command: Command, past: str) -> None:
    """A dotted option edits the past run's optimizer, and the others keep what the past run had."""
    result = ran(lossreg_command, f"-c {past} --opt.lr 0.125 --epochs 1 --out again")
    assert result["spec"]["optimizer"] == "builtin.sgd(lr=0.125, momentum=0.25)"
    assert result["spec"]["epochs"] == 1
    assert result["spec"]["loss"] == "builtin.dice(smooth=1)"


def test_another_version_of_torch_in_a_past_run_is_a_warning(lossreg_command: Command, past: str) -> None:
    """A past run of another torch is repeated with one warning that names both versions."""
    file = Path(past, "run.json")
    content = json.loads(file.read_text())
    content["versions"]["torch"] = "1.13.0"
    file.write_text(json.dumps(content))
    outcome = lossreg_command("plan", "-c", past)
    assert outcome.code == 0
    (warning,) = [line for line in outcome.err.splitlines() if "1.13.0" in line]
    assert warning.startswith("lossreg: warning: ")
    assert torch.__version__.partition("+")[0] in warning


def test_a_past_run_of_the_same_versions_is_no_warning(lossreg_command: Command, past: str) -> None:
    """Repeating a run with the versions that made it warns of nothing."""
    assert lossreg_command("plan", "-c", past).err == ""


def test_an_object_of_a_past_run_can_be_replaced(lossreg_command: Command) -> None:
    """A past run with a Python object in it runs again once an option names another component in its place."""
    import lossreg

    loss = torch.nn.CrossEntropyLoss()
    lossreg.run(loss=loss, epochs=1, limit_train=64, limit_test=32, device="cpu", out="past", quiet=True)
    result = ran(lossreg_command, "-c past --loss cross_entropy --out again")
    assert result["spec"]["loss"] == "builtin.cross_entropy"
    assert same_weights("past", "again")
