"""`lossreg list`, `show` and `plugins`, the help of every command, and that looking around imports nothing heavy."""

from __future__ import annotations

import inspect
import json
import re
import shlex
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
import pytest

from lossreg.cli.main import cli
from lossreg_builtin.vision_datasets import ROWS
from lossreg_builtin.vision_models import MODELS
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command

COMMANDS = (
    "run", "plan", "verify-resume", "compare", "noise", "runs", "plot", "report", "eval", "predict", "export", "list",
    "show", "plugins", "schema", "convert", "new",
)  # fmt: skip
KINDS = ("loss", "optimizer", "scheduler", "model", "dataset", "metric")
BUILTIN = {
    "loss": {
        "adaptive_log_softmax_with_loss", "bce", "bce_with_logits", "cosine_embedding", "cross_entropy", "ctc",
        "dice", "gaussian_nll", "hinge_embedding", "huber", "kl_div", "l1", "linear_cross_entropy", "margin_ranking",
        "mse", "multi_margin", "multilabel_margin", "multilabel_soft_margin", "nll", "poisson_nll", "smooth_l1",
        "soft_margin", "triplet_margin", "triplet_margin_with_distance",
    },
    "optimizer": {
        "adadelta", "adafactor", "adagrad", "adam", "adamax", "adamw", "asgd", "cautious", "lbfgs", "lookahead",
        "muon", "nadam", "radam", "rmsprop", "rprop", "sam", "sgd", "sparse_adam",
    },
    "scheduler": {
        "chained", "constant_lr", "cosine_annealing_lr", "cosine_annealing_warm_restarts", "cyclic_lr",
        "exponential_lr", "lambda_lr", "linear_lr", "multi_step_lr", "multiplicative_lr", "one_cycle_lr",
        "polynomial_lr", "reduce_lr_on_plateau", "sequential_lr", "step_lr", "warmup",
    },
    "model": {"mnist_cnn", "mlp", "small_cnn", *MODELS},
    "dataset": {"digits", "diabetes", "image_folder", "csv", "parquet", "npz", *ROWS},
    "metric": {
        "accuracy", "auroc", "f1", "label_f1", "mean_absolute_error", "mean_dice", "mean_iou", "mean_squared_error",
        "root_mean_squared_error", "top_k",
    },
}  # fmt: skip

# Runs code where importing anything heavy is loud, even if somebody catches the exception.
BLOCKER = """
import sys

class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in ("torch", "torchvision", "numpy", "sklearn", "matplotlib", "rich"):
            sys.stderr.write(f"imported: {name}\\n")
            raise ModuleNotFoundError(name)

sys.meta_path.insert(0, Blocker())
"""


def output(command: Command, line: str) -> str:
    """What a command line that must succeed, and say nothing on stderr, writes to stdout."""
    outcome = command(*shlex.split(line))
    assert (outcome.code, outcome.err) == (0, "")
    return outcome.out


def rows(command: Command, line: str) -> list[dict[str, Any]]:
    """The components of this package's own plugin that a `list` line gives as JSON."""
    found: list[dict[str, Any]] = json.loads(output(command, f"{line} --json"))
    return [row for row in found if row["plugin"] == "builtin"]


def child(code: str, *arguments: str, cwd: Path, python: str = sys.executable) -> str:
    """What a child process writes to stdout that runs this code and must succeed in silence."""
    done = subprocess.run(
        [python, "-c", code, *arguments], cwd=cwd, capture_output=True, text=True, timeout=240, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout


@for_each_apart("kind", KINDS)
def test_a_kind_is_listed_in_text(lossreg_command: Command, kind: str) -> None:
    """`list KIND` gives a line for each component, which begins with its name and names its plugin."""
    lines = [line.split() for line in output(lossreg_command, f"list {kind}").splitlines()]
    named = {line[0] for line in lines if len(line) > 2 and line[1] == "builtin"}
    assert named == BUILTIN[kind]


@for_each_apart("kind", KINDS)
def test_a_kind_is_listed_in_json(lossreg_command: Command, kind: str) -> None:
    """`list KIND --json` gives an object for each component, with full id, factory and distribution."""
    found = rows(lossreg_command, f"list {kind}")
    assert {row["name"] for row in found} == BUILTIN[kind]
    assert all(row["kind"] == kind and row["id"] == f"builtin.{row['name']}" for row in found)
    assert all(row["distribution"] == "lossreg" and ":" in row["factory"] and row["summary"] for row in found)


def test_all_kinds_are_listed_in_the_order_of_the_words(lossreg_command: Command) -> None:
    """`list` alone gives a block for each of the seven kinds."""
    heads = [line for line in output(lossreg_command, "list").splitlines() if line and not line.startswith(" ")]
    assert heads == ["losses", "optimizers", "schedulers", "models", "datasets", "metrics", "observers"]


def test_all_kinds_are_listed_in_json(lossreg_command: Command) -> None:
    """`list --json` gives one array with all components of all kinds."""
    found = {(row["kind"], row["name"]) for row in rows(lossreg_command, "list")}
    assert found == {(kind, name) for kind, names in BUILTIN.items() for name in names}


@for_each(
    ("line", "names"),
    [
        ("list dataset '*mnist*'", {"mnist", "fashion_mnist", "kmnist", "emnist", "qmnist"}),
        ("list dataset '?mnist'", {"kmnist", "emnist", "qmnist"}),
        ("list '*mnist*'", {"mnist", "fashion_mnist", "kmnist", "emnist", "qmnist", "mnist_cnn"}),
        ("list loss dice", {"dice"}),
        ("list loss 'builtin.d*'", {"dice"}),
        ("list loss '[dm]*e'", {"dice", "mse"}),
        ("list loss DICE", {"dice"}),
        ("list LOSS", BUILTIN["loss"]),
        ("list loss 'Cross-*'", {"cross_entropy"}),
        ("list dataset fashion-mnist", {"fashion_mnist"}),
        ("list loss 'builtin.Cross-Entropy'", {"cross_entropy"}),
        ("list loss 'nothing*'", set()),
    ],
)
def test_a_pattern_chooses_by_name(lossreg_command: Command, line: str, names: set[str]) -> None:
    """A pattern is compared with name and full id; case, and `-` for `_`, do not matter."""
    assert {row["name"] for row in rows_quietly(lossreg_command, line)} == names


def rows_quietly(command: Command, line: str) -> list[dict[str, Any]]:
    """As `rows`, where stderr may say something."""
    outcome = command(*shlex.split(line), "--json")
    assert outcome.code == 0
    return [row for row in json.loads(outcome.out) if row["plugin"] == "builtin"]


def test_a_pattern_that_nothing_fits_is_said(lossreg_command: Command) -> None:
    """Where nothing fits a pattern, stdout is empty and stderr repeats the pattern."""
    outcome = lossreg_command("list", "loss", "nothing*")
    assert (outcome.code, outcome.out) == (0, "")
    assert "'nothing*'" in outcome.err


def test_listing_says_what_a_component_takes(lossreg_command: Command) -> None:
    """The JSON of a component holds its defaults, what it needs, what the runner supplies and its contract."""
    (dice,) = rows(lossreg_command, "list loss dice")
    assert dice["defaults"] == {"smooth": 1e-5, "reduction": "mean"}
    assert dice["contract"] == {
        "target": "index", "input": "logits", "averages": None, "takes": ["input", "target"], "data_values": {},
    }  # fmt: skip
    (schedule,) = rows(lossreg_command, "list scheduler lambda_lr")
    assert schedule["required"] == ["lr_lambda"]
    assert schedule["runtime_args"]["steps_per_epoch"] == "steps_per_epoch"


@for_each(("kind", "name"), [(kind, name) for kind in KINDS for name in sorted(BUILTIN[kind])])
def test_what_is_listed_can_be_shown(lossreg_command: Command, kind: str, name: str) -> None:
    """Every component can be shown, and the first line is its name and summary."""
    (row,) = rows(lossreg_command, f"list {kind} {name}")
    assert output(lossreg_command, f"show {kind} {name}").splitlines()[0] == f"{name}: {row['summary']}"


@for_each(
    ("line", "text"),
    [
        ("show loss dice", r"full id +builtin\.dice"),
        ("show loss dice", r"from +plugin builtin, lossreg \d"),
        ("show loss dice", r"factory +lossreg_builtin\.dice:DiceLoss"),
        ("show loss dice", r"contract +target=index: class indices.*\n +input=logits: the model's output"),
        ("show loss dice", r"\n  smooth +float +(= )1e-05"),
        ("show loss dice", r"\n  reduction +.*'mean'"),
        ("show optimizer sgd", r"\n  lr +float \| Tensor +(= )0\.01"),
        ("show optimizer sgd", r"contract +closure=False"),
        ("show scheduler lambda_lr", r"\n  lr_lambda +str.* +\(needed\)"),
        ("show scheduler lambda_lr", r"\n  epochs .*\(the runner supplies epochs\)"),
        ("show model mnist_cnn", r"\n  num_classes +int .*\(the runner supplies num_classes\)"),
        ("show dataset digits", r"parameters\n  none\n"),
        ("show dataset digits", r"contract +model=mnist_cnn"),
        ("show dataset mnist", r"\n  root +str \| Path \| None +(= )None"),
    ],
)
def test_showing_says_where_it_comes_from_and_what_it_takes(lossreg_command: Command, line: str, text: str) -> None:
    """`show` says origin, contract, and for each parameter the type, the default and who else supplies it."""
    assert re.search(text, output(lossreg_command, line))


def test_showing_ends_with_the_documentation(lossreg_command: Command) -> None:
    """`show` ends with the factory's docstring."""
    from lossreg_builtin.dice import DiceLoss

    assert output(lossreg_command, "show loss dice").rstrip().endswith((inspect.getdoc(DiceLoss) or "").rstrip())


def test_the_signature_has_the_defaults_that_hold(lossreg_command: Command) -> None:
    """The signature of `sgd` has lossreg's defaults for rate and momentum."""
    shown = json.loads(output(lossreg_command, "show optimizer sgd --json"))
    assert shown["signature"].startswith("sgd(lr: float | Tensor = 0.01, momentum: float = 0.9, ")


@pytest.mark.parametrize(("parameter", "ours"), [("lr", 0.01), ("momentum", 0.9)])
def test_a_default_other_than_torchs_is_shown_with_torchs(
    lossreg_command: Command, parameter: str, ours: float
) -> None:
    """`show optimizer sgd` says that rate and momentum differ from torch, with both values."""
    import torch

    theirs = inspect.signature(torch.optim.SGD).parameters[parameter].default
    assert theirs != ours
    (line,) = [
        line for line in output(lossreg_command, "show optimizer sgd").splitlines() if line.startswith("differs from")
    ]
    assert f"{parameter}={ours} (torch: {theirs})" in line


def test_only_what_differs_is_said_to_differ(lossreg_command: Command) -> None:
    """In JSON, `sgd` differs from torch in rate and momentum and in nothing else."""
    assert json.loads(output(lossreg_command, "show optimizer sgd --json"))["differs"].keys() == {"lr", "momentum"}


def test_nothing_is_said_to_differ_where_nothing_does(lossreg_command: Command) -> None:
    """`adam` has torch's defaults, and `show` has no line about differences."""
    assert "differs from" not in output(lossreg_command, "show optimizer adam").partition("\nImplements")[0]


@pytest.mark.parametrize(("line", "begins"), [("loss dice", "class DiceLoss("), ("dataset digits", "def load(")])
def test_the_source_is_the_line_of_the_definition(lossreg_command: Command, line: str, begins: str) -> None:
    """The source that `show` gives is a file and the line in it where the factory is defined."""
    file, _, number = json.loads(output(lossreg_command, f"show {line} --json"))["source"].rpartition(":")
    assert Path(file).read_text(encoding="utf-8").splitlines()[int(number) - 1].startswith(begins)


@for_each_apart("name", ["cross_entropy", "builtin.cross_entropy", "Cross-Entropy", "CROSS_ENTROPY"])
def test_a_name_is_shown_in_any_spelling(lossreg_command: Command, name: str) -> None:
    """A short name, a full id, other case and `-` for `_` all show the same component."""
    assert json.loads(output(lossreg_command, f"show loss {name} --json"))["id"] == "builtin.cross_entropy"


def test_a_kind_is_read_in_any_case(lossreg_command: Command) -> None:
    """`show Loss dice` shows the loss."""
    assert json.loads(output(lossreg_command, "show Loss dice --json"))["id"] == "builtin.dice"


def test_plugins_are_listed_in_json(lossreg_command: Command) -> None:
    """`plugins --json` says of the built-in plugin that it is loaded, from where, and what it offers."""
    (row,) = [row for row in json.loads(output(lossreg_command, "plugins --json")) if row["name"] == "builtin"]
    assert (row["distribution"], row["state"], row["problem"]) == ("lossreg", "loaded", None)
    assert {kind: set(names) for kind, names in row["offers"].items()} == BUILTIN
    assert row["milliseconds"] >= 0


def test_plugins_are_listed_in_text(lossreg_command: Command) -> None:
    """`plugins` gives a table with a head and a line that names plugin, distribution and state."""
    head, *lines = output(lossreg_command, "plugins").splitlines()
    assert head.split() == ["NAME", "DISTRIBUTION", "VERSION", "STATE", "MS", "OFFERS"]
    (line,) = [line.split() for line in lines if line.startswith("builtin ")]
    assert (line[1], line[3]) == ("lossreg", "loaded")


LOOKS = (
    "--help", "--version", "run --help", "plan --help", "convert --help", "show --help", "list", "list --json",
    "list loss 'd*'", "plugins", "plugins --json", "list --search dice", "schema",
)  # fmt: skip
# Runs each of its arguments as a command line in a fork, which has imported nothing but the command.
LOOK = f"""{BLOCKER}
import json, os, shlex, tempfile
from lossreg.cli.main import main

found = []
for line in sys.argv[1:]:
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = os.fork()
        if process == 0:
            os.dup2(out.fileno(), 1)
            os.dup2(err.fileno(), 2)
            main(shlex.split(line))
        status = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
        texts = [os.pread(file.fileno(), 2**20, 0).decode() for file in (out, err)]
        found.append([status, *texts])
print(json.dumps(found))
"""


@pytest.fixture(scope="module")
def looks(tmp_path_factory: pytest.TempPathFactory) -> dict[str, tuple[int, str, str]]:
    """Command line -> its exit code, stdout and stderr where nothing heavy can be imported."""
    found = json.loads(child(LOOK, *LOOKS, cwd=tmp_path_factory.mktemp("looks")))
    return {line: (code, out, err) for line, (code, out, err) in zip(LOOKS, found, strict=True)}


@for_each("line", LOOKS)
def test_looking_around_imports_nothing_heavy(line: str, looks: dict[str, tuple[int, str, str]]) -> None:
    """Help, `list` and `plugins` work where torch and its like cannot be imported, and do not try to."""
    code, out, err = looks[line]
    assert (code, err) == (0, "")
    assert out


def test_importing_the_package_imports_nothing_heavy(tmp_path: Path) -> None:
    """`import lossreg`, and asking for its names, works where torch and its like cannot be imported."""
    code = f"{BLOCKER}\nimport lossreg\nprint(lossreg.__version__, *lossreg.losses.names())"
    assert "dice" in child(code, cwd=tmp_path).split()


def test_showing_imports_no_more_than_the_component_needs(warm_python: str, tmp_path: Path) -> None:
    """`show loss dice`, which needs torch, imports neither torchvision nor scikit-learn."""
    code = (
        "import sys\nfrom lossreg.cli.main import main\n"
        "loaded = lambda: [name for name in ('torchvision', 'sklearn') if name in sys.modules]\n"
        "assert loaded() == []\n"
        "try:\n    main(['show', 'loss', 'dice'])\n"
        "except SystemExit:\n    print('loaded', *loaded(), 'lossreg_builtin.dice' in sys.modules)"
    )
    assert child(code, cwd=tmp_path, python=warm_python).splitlines()[-1] == "loaded True"


def test_the_package_runs_as_a_module(lossreg_command: Command, tmp_path: Path) -> None:
    """`python -m lossreg list` prints what `lossreg list` prints."""
    done = subprocess.run(
        [sys.executable, "-m", "lossreg", "list", "--json"], cwd=tmp_path, capture_output=True, text=True, check=True
    )
    assert json.loads(done.stdout) == json.loads(output(lossreg_command, "list --json"))


def test_every_command_is_tested_here() -> None:
    """The commands whose help is checked below are all there are."""
    assert tuple(cli.list_commands(click.Context(cli))) == COMMANDS


@for_each("command", COMMANDS)
def test_the_help_of_a_command_has_an_example(lossreg_command: Command, command: str) -> None:
    """The help of each command has examples that call it."""
    _, found, examples = output(lossreg_command, f"{command} --help").partition("Examples:\n")
    assert found
    assert examples.strip().startswith(f"lossreg {command}")


@for_each("command", COMMANDS)
def test_every_option_has_help(command: str) -> None:
    """Every option of each command says what it does."""
    found = cli.get_command(click.Context(cli), command)
    assert found is not None
    silent = [option.name for option in found.params if isinstance(option, click.Option) and not option.help]
    assert silent == []


@for_each("command", COMMANDS)
def test_the_help_of_lossreg_names_every_command(lossreg_command: Command, command: str) -> None:
    """`lossreg --help` has a line for each command that says what it is for."""
    commands = output(lossreg_command, "--help").partition("Commands:\n")[2]
    assert re.search(rf"^  {command} +\w.*\.$", commands, re.MULTILINE)


@pytest.mark.parametrize("flag", ["-h", "--help"])
def test_help_has_two_flags(lossreg_command: Command, flag: str) -> None:
    """`-h` and `--help` give the same help."""
    assert output(lossreg_command, f"run {flag}").startswith("Usage: lossreg run")


def examples(text: str) -> list[str]:
    """The command lines among the examples of a help text, without what is said about them."""
    joined = re.sub(r"\\\n +", "", text)
    return [re.split(r" {3,}", line.strip())[0] for line in joined.splitlines() if line.startswith("    lossreg ")]


@pytest.mark.parametrize("command", ["plan", "list", "show", "plugins"])
def test_the_examples_in_the_help_work(
    lossreg_command: Command, warm_python: str, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    """Every example in the help of a command that does not train ends well."""
    monkeypatch.setattr(sys, "executable", warm_python)  # the doctor's child need not import torch
    lines = examples(output(lossreg_command, f"{command} --help"))
    assert lines
    assert [line for line in lines if lossreg_command(*shlex.split(line)[1:]).code != 0] == []


def test_the_examples_of_run_can_be_planned(lossreg_command: Command) -> None:
    """Every example in the help of `run` that needs neither a file nor a download is accepted by `plan`."""
    lines = examples(output(lossreg_command, "run --help"))
    tried = [line for line in lines if not {"-c", "mnist", "--resume"} & {*line.split()}]
    assert len(tried) >= 3
    assert [line for line in tried if lossreg_command("plan", *shlex.split(line)[2:]).code != 0] == []
