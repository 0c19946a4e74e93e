"""Words of a line that are wrong in a way that says what was meant: the message has what to write."""

from __future__ import annotations

import shlex
import site
import sys
from typing import TYPE_CHECKING

import pytest

import lossreg
from lossreg.cli.doctor import removal
from lossreg.plugins.plugin_settings import load_settings
from lossreg.values import decimal_comma_hint
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command, Outcome
    from tests.lossreg.conftest import CommandWith, Install, LoadWith

PLUGIN = "import lossreg\nlossreg.losses.register('mine', 'torch.nn:L1Loss', target='dense')\n"


def refused(outcome: Outcome, *parts: str) -> None:
    """The command ended with exit code 2, without a traceback or a warning, and says these parts."""
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith("lossreg: error: ")
    assert [part for part in parts if part not in outcome.err] == []


# A number with a comma, and an option without its value


@for_each_apart(
    ("line", "parts"),
    [
        ("plan --opt.lr 1,5", ("sgd: lr=1,5", "write 1.5")),
        ("plan --opt.weight_decay=-0,5e-3", ("sgd: weight_decay=-0,5e-3", "write -0.5e-3")),
        ("plan --loss dice --loss.smooth 1,0", ("dice: smooth=1,0", "write 1.0")),
        ("plan --opt 'sgd(lr=1,5)'", ("sgd(lr=1,5)", "write 1.5")),
        ("plan --opt 'sgd(lr=1,5, momentum=0)'", ("write 1.5",)),
        ("plan --clip-grad-norm 1,5", ("--clip-grad-norm", "'1,5'", "write 1.5")),
        ("plan --param-groups '*.bias: lr=1,5'", ("'*.bias'", "lr=1,5", "write 1.5")),
    ],
)
def test_a_decimal_comma_is_refused_with_the_point(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """A number that is written with a comma is refused with the number to write."""
    refused(lossreg_command(*shlex.split(line)), *parts)


def test_two_numbers_where_a_list_fits_are_two(lossreg_command: Command) -> None:
    """`0.8,0.9` for a pair of numbers is that pair."""
    result = lossreg_command("plan", "--opt", "adam", "--opt.betas", "0.8,0.9")
    assert (result.code, "betas=[0.8, 0.9]" in result.out) == (0, True)


@for_each("text", ["1.5", "1,2,3", ",5", "1,", "a,b", "1,5x", "1 ,5", "1,5e"])
def test_what_is_not_one_number_gets_no_hint(text: str) -> None:
    """Only a number with one comma between digits has a decimal comma."""
    assert decimal_comma_hint(text) == ""


@pytest.mark.parametrize(
    ("line", "option", "stands"),
    [
        ("plan --opt.lr --epochs 2", "--opt.lr", "'--epochs'"),
        ("plan --opt.lr --opt.momentum 0", "--opt.lr", "'--opt.momentum'"),
        ("plan --opt.lr --epoch 2", "--opt.lr", "'--epoch'"),
        ("plan --opt.lr -p x.py", "--opt.lr", "'-p'"),
        ("plan --loss --epochs 2", "--loss", "'--epochs'"),
        ("run --out --quiet", "--out", "'--quiet'"),
        ("plan --epochs --opt.lr 1", "--epochs", "'--opt.lr'"),
        ("run -c --quiet", "-c", "'--quiet'"),
    ],
)
def test_an_option_is_not_taken_for_a_value(
    lossreg_command: Command, tmp_path: Path, line: str, option: str, stands: str
) -> None:
    """An option behind one that needs a value is refused by the name of the first; nothing is written."""
    refused(lossreg_command(*shlex.split(line)), f"{option} lacks its value", stands)
    assert [*tmp_path.iterdir()] == []


def test_a_value_may_begin_like_a_number_or_be_joined(lossreg_command: Command) -> None:
    """A negative number is a value, and so is anything behind `=`."""
    result = lossreg_command(
        "plan", "--sched", "lambda_lr", "--sched.lr_lambda=--epoch", "--loss", "dice", "--loss.smooth", "1"
    )
    assert result.code == 0, result.err
    refused(lossreg_command("plan", "--opt.lr", "-1"), "Invalid learning rate: -1")


@pytest.mark.parametrize(("written", "meant"), [("--ep", "'--epochs'?"), ("--batch", "'--batch-size'?")])
def test_the_beginning_of_an_option_means_that_option(lossreg_command: Command, written: str, meant: str) -> None:
    """A shortened option is refused with the options that begin so, and no other."""
    refused(lossreg_command("plan", written, "3"), f"Did you mean {meant}")


# -p


@pytest.mark.parametrize("word", ["folder_of_files", "./folder_of_files"])
def test_a_folder_is_not_a_plugin(
    load_with: LoadWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    """A folder behind -p is refused as such, with what -p takes, whether Python could import it or not."""
    (tmp_path / "folder_of_files").mkdir()
    monkeypatch.chdir(tmp_path)
    for path in ([], [tmp_path]):
        with pytest.raises(lossreg.PluginError) as refusal:
            load_with(*path, local=[word])
        assert f"-p {word}: " in str(refusal.value)
        assert "it is a folder; -p takes a Python file (./my_losses.py), a module" in str(refusal.value)


def test_a_file_without_its_ending_is_refused_with_it(
    load_with: LoadWith, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The stem of a file that is not importable is refused with the file."""
    (tmp_path / "stem_of_a_file.py").write_text(PLUGIN)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lossreg.PluginError, match=r"No module named 'stem_of_a_file'; .* -p ./stem_of_a_file.py"):
        load_with(local=["stem_of_a_file"])


def test_a_file_that_is_named_twice_counts_once(load_with: LoadWith, tmp_path: Path) -> None:
    """The same file by two paths is loaded once, and so is a module that is named twice."""
    file = tmp_path / "named_twice.py"
    file.write_text(PLUGIN)
    registries = load_with(tmp_path, local=[str(file), str(tmp_path / "." / "named_twice.py"), "named_twice"])
    assert [report.provenance.file for report in registries.reports if report.provenance.file] == [str(file)]
    assert registries.losses["mine"].id == "local.mine"


@pytest.mark.parametrize(("distribution", "word"), [("good-losses", "good"), ("good-losses", "good-losses")])
def test_an_installed_plugin_needs_no_option(
    install: Install, load_with: LoadWith, distribution: str, word: str
) -> None:
    """The name of an installed plugin, or of its distribution, is refused with the advice to leave it out."""
    with pytest.raises(lossreg.PluginError, match=r"is an installed plugin \(good-losses 1.0\).*leave it out"):
        load_with(install(distribution), local=[word])


def test_an_installed_plugin_that_failed_is_told_with_its_failure(install: Install, load_with: LoadWith) -> None:
    """If the installed plugin could not be loaded, the message says why."""
    with pytest.raises(lossreg.PluginError, match=r"'broken' is an installed plugin.*a_module_that_nobody_has"):
        load_with(install("bad-import"), local=["broken"])


# Values


@for_each(
    ("line", "parts"),
    [
        ("plan --opt 'adam(eps=0, lr=[1])'", ("adam: lr=[1] is a list; one number belongs there",)),
        ("plan --opt.lr '[0.1, 0.2]'", ("sgd: lr=[0.1, 0.2] is a list",)),
        ("plan --opt 'adam(weight_decay=[1])'", ("adam: weight_decay=[1] is a list",)),
        ("plan --loss 'dice(smooth=[1])'", ("dice: smooth=[1] is a list",)),
        ("plan --data mnist --data.root ''", ("mnist: root='' is empty", "leave root out")),
        ("plan --data \"mnist(root=' ')\"", ("mnist: root=' ' is empty",)),
        ("plan --device meta", ("'meta'", "auto, cpu, cuda, cuda:N, mps or xpu")),
        ("plan --loss 'mse(size_average=False)'", ("mse: size_average is deprecated", "reduction='mean'", "'sum'")),
        ("plan --loss cross_entropy --loss.reduce false", ("cross_entropy: reduce is deprecated", "'none'")),
        ("show loss 'l1(reduce=True)'", ("l1: reduce is deprecated",)),
        ("plan --param-groups '*.bias: lr=1, lr=2'", ("'*.bias'", "'lr=1, lr=2'", "lr is given twice")),
    ],
)
def test_a_wrong_value_is_refused_by_its_parameter(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """A list for a number, an empty path, an old word of torch's and an option that is given twice are told as such."""
    refused(lossreg_command(*shlex.split(line)), *parts)


def test_an_unknown_word_for_strict_is_refused_with_the_known_ones(tmp_path: Path) -> None:
    """LOSSREG_STRICT with another word is refused with all that are known."""
    with pytest.raises(lossreg.ConfigError) as refusal:
        load_settings({"LOSSREG_STRICT": "maybe"}, tmp_path)
    assert [
        part for part in ("LOSSREG_STRICT", "'maybe'", "1, true, yes", "0, false, no") if part not in str(refusal.value)
    ] == []


# Completion


@pytest.mark.parametrize("asked", ["tcsh_source", "1", "bash", "bash_", "bash_install", "\x1b_source"])
def test_a_request_of_an_unknown_shell_is_refused(
    lossreg_command: Command, monkeypatch: pytest.MonkeyPatch, asked: str
) -> None:
    """A request for completion that no known shell makes is one line with those that are made."""
    monkeypatch.setenv("_LOSSREG_COMPLETE", asked)
    result = lossreg_command()
    refused(result, "bash_source, zsh_source or fish_source")
    assert result.err.count("\n") == 1


@pytest.mark.parametrize(
    ("shell", "variables"),
    [
        ("bash", {}),
        ("zsh", {"COMP_WORDS": "lossreg"}),
        ("fish", {"COMP_CWORD": "l"}),
        ("bash", {"COMP_WORDS": "lossreg l", "COMP_CWORD": "x"}),
        ("zsh", {"COMP_WORDS": "lossreg l", "COMP_CWORD": ""}),
    ],
)
def test_a_request_without_a_line_is_refused(
    lossreg_command: Command, monkeypatch: pytest.MonkeyPatch, shell: str, variables: dict[str, str]
) -> None:
    """Completions of a line that is not handed over are one line with the variables."""
    monkeypatch.setenv("_LOSSREG_COMPLETE", f"{shell}_complete")
    for name in ("COMP_WORDS", "COMP_CWORD"):
        monkeypatch.delenv(name, raising=False)
    for name, value in variables.items():
        monkeypatch.setenv(name, value)
    result = lossreg_command()
    refused(result, "COMP_WORDS and COMP_CWORD", f"{shell}_source")
    assert result.err.count("\n") == 1


def test_an_empty_request_is_none(lossreg_command: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """An empty variable asks for no completion: the command does what it does."""
    monkeypatch.setenv("_LOSSREG_COMPLETE", "")
    assert lossreg_command("list", "loss").code == 0


# The doctor


def test_the_doctor_names_the_folder_that_pip_does_not_manage(
    install: Install, command_with: CommandWith, tmp_path: Path
) -> None:
    """A distribution on PYTHONPATH is removed from its folder; pip is not proposed."""
    site = install("good-losses")
    result = command_with("plugins", "doctor", "good", path=site, cwd=tmp_path)
    assert f"remove      from {site}, which pip does not manage" in result.stdout
    assert "pip uninstall" not in result.stdout


def test_the_doctor_names_pip_where_that_can_remove(monkeypatch: pytest.MonkeyPatch) -> None:
    """A distribution in the interpreter's own folder, or in one that is not known, is removed with pip."""
    monkeypatch.setattr(site, "getsitepackages", lambda: ["/venv/site-packages"])
    for folder in ("/venv/site-packages/", None):
        advice = removal({"folder": folder, "distribution": "acme-losses"})
        assert advice == f"remove with {sys.executable} -m pip uninstall acme-losses"


# Names of nested parts, of metrics and of other kinds


@for_each_apart(
    ("line", "parts"),
    [
        ("plan --opt lookahead", ("lookahead needs optimizer.", "without its name: lookahead(NAME(...), ...)")),
        ("plan --sched sequential(milestones=[3])", ("needs schedulers", "sequential_lr(NAME(...), ...)")),
        ("plan --opt cross_entropy", ("loss 'cross_entropy' exists; it is not an optimizer",)),
        ("plan --sched cosinee", ("Did you mean 'cosine'",)),
        (
            "plan --patience 3 --monitor val_loss",
            ("'val_loss'", "validate=0.1 (--validate 0.1) cuts off; the metric is validation_loss then"),
        ),
        ("plan --patience 3 --monitor val_loss --validate 0.1", ("'val_loss'", "it is called validation_loss here")),
        ("plan --target valid_accuracy>=0.9 --validate 0.1", ("it is called validation_accuracy here",)),
    ],
)
def test_what_was_meant_is_told(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """A wrapper alone, a part of another kind, a misspelt alias and a metric as other trainers call it."""
    refused(lossreg_command(*line.split()), *parts)
