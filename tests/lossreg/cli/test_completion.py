"""Shell completion: commands, flags, names and dotted parameters."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.cli.conftest import Ask, AskAll

SCRIPTS = sysconfig.get_path("scripts")
SHELLS = ("bash", "zsh", "fish")


def offered(answer: str, shell: str = "bash") -> list[str]:
    """The words of an answer, whose form is the shell's own."""
    lines = [line for line in answer.splitlines() if line]  # click answers "nothing" with an empty line
    if shell == "zsh":  # type, value and help, a line each
        return lines[1::3]
    return [line.partition(",")[2].partition("\t")[0] for line in lines]  # type,value or type,value<tab>help


def complete(ask: Ask, line: str, shell: str = "bash") -> list[str]:
    """The words that are offered for the last word of a line."""
    return offered(ask(shell, line.split(" ")), shell)


@pytest.mark.parametrize("shell", SHELLS)
def test_commands_are_completed(shell: str, ask: Ask) -> None:
    """After `lossreg` each shell is offered the commands that begin with what is there."""
    assert complete(ask, "lossreg pl", shell) == ["plan", "plot", "plugins"]


def test_all_commands_are_offered(ask: Ask) -> None:
    """With nothing typed yet, every command is offered."""
    commands = {"run", "plan", "compare", "noise", "runs", "plot", "report", "list", "show", "plugins", "new", "schema"}
    assert set(complete(ask, "lossreg ")) == commands | {"convert", "eval", "predict", "export", "verify-resume"}


@pytest.mark.parametrize("shell", SHELLS)
def test_flags_are_completed(shell: str, ask: Ask) -> None:
    """After `lossreg run` each shell is offered the flags that begin with what is there."""
    assert set(complete(ask, "lossreg run --limit", shell)) == {"--limit-train", "--limit-test"}


@pytest.mark.parametrize("shell", SHELLS)
@pytest.mark.parametrize(
    ("line", "names"),
    [
        ("lossreg run --loss d", ["dice"]),
        ("lossreg run --opt ", ["adam", "sgd"]),
        ("lossreg run --sched l", ["lambda_lr"]),
        ("lossreg run --model m", ["mlp", "mnist_cnn"]),
        ("lossreg run --data di", ["diabetes", "digits"]),
    ],
)
def test_names_are_completed_after_the_flag_of_their_kind(shell: str, line: str, names: list[str], ask: Ask) -> None:
    """After the flag of a kind each shell is offered the names of that kind."""
    answer = complete(ask, line, shell)
    assert [name for name in answer if name in names] == names  # other plugins may offer more


@for_each(
    ("line", "names"),
    [
        ("lossreg plan --loss d", ["dice"]),
        ("lossreg run --optimizer s", ["sgd"]),
        ("lossreg run --scheduler l", ["lambda_lr"]),
        ("lossreg run --dataset di", ["diabetes", "digits"]),
        ("lossreg run --epochs 3 --opt.lr 0.1 --loss d", ["dice"]),
        ("lossreg run --loss D", ["dice"]),
        ("lossreg run --loss Cross-", ["cross_entropy"]),
    ],
)
def test_names_are_completed_in_every_place_and_spelling(line: str, names: list[str], ask: Ask) -> None:
    """Names are completed for `plan`, after long flags, behind dotted options, in any case, and with `-` for `_`."""
    answer = complete(ask, line)
    assert [name for name in answer if name in names] == names


def test_a_name_of_another_kind_is_not_offered(ask: Ask) -> None:
    """After `--loss` no optimizer is offered."""
    assert "sgd" not in complete(ask, "lossreg run --loss ")


def test_names_come_with_their_summaries_where_the_shell_shows_them(ask: Ask) -> None:
    """In zsh each name comes with its summary."""
    answer = ask("zsh", ["lossreg", "run", "--opt", "adam"])
    assert answer.splitlines()[:3] == ["plain", "adam", "Adam (Kingma and Ba 2015)"]


def test_paths_are_completed_by_the_shell_itself(ask: Ask) -> None:
    """After `--config` the shell is told to offer files."""
    assert ask("bash", ["lossreg", "run", "--config", ""]) == "file,\n"


@pytest.mark.parametrize("command", ["list", "show"])
def test_kinds_are_completed(command: str, ask: Ask) -> None:
    """`list` and `show` are offered the seven kinds."""
    kinds = {"loss", "optimizer", "scheduler", "model", "dataset", "metric", "observer"}
    assert set(complete(ask, f"lossreg {command} ")) == kinds


@pytest.mark.parametrize("shell", SHELLS)
def test_names_are_completed_for_show(shell: str, ask: Ask) -> None:
    """Behind `show dataset` each shell is offered the data sets."""
    assert set(complete(ask, "lossreg show dataset di", shell)) >= {"diabetes", "digits"}


def test_names_for_show_are_completed_in_any_spelling(ask: Ask) -> None:
    """Names for `show` are completed in any case and with `-` for `_`, as `show` reads them."""
    assert "cross_entropy" in complete(ask, "lossreg show loss Cross-")


@pytest.mark.parametrize("shell", SHELLS)
def test_parameters_are_completed_behind_the_dot(shell: str, ask: Ask) -> None:
    """Behind `--loss dice --loss.` each shell is offered the parameters of Dice."""
    assert complete(ask, "lossreg run --loss dice --loss.", shell) == ["--loss.smooth", "--loss.reduction"]


@for_each(
    ("line", "some", "others"),
    [
        ("lossreg run --opt.", {"--opt.lr", "--opt.momentum", "--opt.nesterov"}, {"--opt.betas"}),
        ("lossreg run --opt.mo", {"--opt.momentum"}, {"--opt.lr"}),
        ("lossreg run --optimizer.", {"--optimizer.lr", "--optimizer.momentum"}, {"--opt.lr"}),
        ("lossreg run --opt adam --opt.", {"--opt.lr", "--opt.betas"}, {"--opt.momentum"}),
        ("lossreg run --opt adam(lr=1) --opt.", {"--opt.betas"}, {"--opt.momentum"}),
        ("lossreg run --optimizer adam --opt.", {"--opt.lr", "--opt.betas"}, {"--opt.momentum"}),
        ("lossreg run --opt builtin.adam --opt.", {"--opt.lr", "--opt.betas"}, {"--opt.momentum"}),
        ("lossreg run --sched lambda_lr --sched.", {"--sched.lr_lambda"}, {"--sched.lr"}),
        ("lossreg run --model.", {"--model.in_channels", "--model.channels"}, {"--model.in_features"}),
        ("lossreg run --data diabetes --model.", {"--model.hidden"}, {"--model.num_classes"}),
        ("lossreg run --model mlp --model.", {"--model.hidden"}, {"--model.num_classes"}),
        ("lossreg run --data mnist --data.", {"--data.root"}, {"--data.lr"}),
        ("lossreg plan --opt.", {"--opt.lr", "--opt.momentum"}, {"--opt.betas"}),
        ("lossreg run --opt.lr 0.1 --epochs 2 --opt.", {"--opt.momentum"}, {"--opt.betas"}),
    ],
)
def test_the_parameters_are_those_of_the_component_that_the_line_means(
    line: str, some: set[str], others: set[str], ask: Ask
) -> None:
    """Behind the dot stand the parameters of the component that the line names, else of the one that it defaults to."""
    answer = set(complete(ask, line))
    assert answer >= some
    assert not answer & others


@for_each(
    "line",
    [
        "lossreg run --loss.",  # which loss is meant depends on the data set
        "lossreg run --sched.",
        "lossreg run --loss dise --loss.",
        "lossreg run --loss dice( --loss.",
        "lossreg run --los.",
        "lossreg run --loss dice --loss.x",
    ],
)
def test_nothing_is_offered_where_nothing_fits(line: str, ask: Ask) -> None:
    """Where no component is meant, or no parameter fits, nothing is offered and nothing goes wrong."""
    assert complete(ask, line) == []


#: A line -> a word that is offered for its last one.
WITHOUT_TORCH = {
    "lossreg ": "run",
    "lossreg run --lo": "--loss",
    "lossreg run --loss ": "dice",
    "lossreg show loss d": "dice",
    "lossreg run --loss dice --loss.": "--loss.smooth",
    "lossreg run --loss cross_entropy --loss.": "--loss.label_smoothing",
    "lossreg run --opt.": "--opt.lr",
    "lossreg run --sched lambda_lr --sched.": "--sched.lr_lambda",
    "lossreg run --model.": "--model.num_classes",
    "lossreg run --data mnist --data.": "--data.root",
}


def test_completion_imports_nothing_heavy(ask_without_torch: AskAll) -> None:
    """Completion, of dotted parameters too, works where torch and its like cannot be imported, and does not try to."""
    answers = ask_without_torch("bash", [line.split(" ") for line in WITHOUT_TORCH])
    expected = list(WITHOUT_TORCH.values())
    assert [word for word, answer in zip(expected, answers, strict=True) if word not in offered(answer)] == []


@pytest.mark.parametrize("shell", SHELLS)
def test_each_shell_gets_a_script(shell: str, tmp_path: Path) -> None:
    """`_LOSSREG_COMPLETE=SHELL_source lossreg` prints a script that registers a completion for `lossreg`."""
    environment = {**os.environ, "_LOSSREG_COMPLETE": f"{shell}_source"}
    if shell == "bash" and shutil.which("bash") is None:
        pytest.skip("there is no bash here, whose version is asked for")
    child = subprocess.run(
        [sys.executable, "-m", "lossreg"], env=environment, cwd=tmp_path, capture_output=True, text=True, check=True
    )
    registers = {"bash": "complete -o nosort -F", "zsh": "compdef", "fish": "complete --no-files --command lossreg"}
    assert registers[shell] in child.stdout
    assert f"_LOSSREG_COMPLETE={shell}_complete" in child.stdout


@pytest.mark.parametrize(
    ("words", "expected"),
    [
        (["lossreg", "run", "--loss", "d"], "dice"),
        (["lossreg", "run", "--loss", "dice", "--loss.s"], "--loss.smooth"),
        (["lossreg", "run", "--loss", "'dice(smooth=1)'", "--loss.r"], "--loss.reduction"),
        (["lossreg", "show", "scheduler", "la"], "lambda_lr"),
    ],
)
def test_bash_completes_once_the_line_of_the_help_is_in_its_start_file(
    words: list[str], expected: str, tmp_path: Path
) -> None:
    """In a bash that ran the line from `lossreg --help`, completing a line of the installed command gives the word."""
    bash = shutil.which("bash")
    if bash is None:
        pytest.skip("there is no bash here")
    if not Path(SCRIPTS, "lossreg").exists():
        pytest.skip("the command is not installed beside this Python")
    script = f"""
        eval "$(_LOSSREG_COMPLETE=bash_source lossreg)"
        COMP_WORDS=({" ".join(map(shlex.quote, words))})
        COMP_CWORD={len(words) - 1}
        $(complete -p lossreg | sed 's/.*-F //; s/ .*//') lossreg
        printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    path = os.pathsep.join([SCRIPTS, os.environ.get("PATH", os.defpath)])
    child = subprocess.run(
        [bash, "--norc", "-c", script],
        env={**os.environ, "PATH": path},
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=240,
        check=True,
    )
    assert child.stderr == ""
    assert child.stdout.splitlines() == [expected]
