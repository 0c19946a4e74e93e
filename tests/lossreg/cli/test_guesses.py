"""What people write who have not read the docs gets the answer."""

from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg
from lossreg.run_spec import RUN_KEYS, SETTINGS
from lossreg.synonyms import SYNONYMS
from tests.table import for_each, for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.conftest import CommandWith


@for_each(
    ("line", "parts"),
    [
        ("run --lr 0.1", ("'--lr'", "'--opt.lr'")),
        ("run --learning-rate 0.1", ("'--learning-rate'", "'--opt.lr'")),
        ("run --momentum 0.9", ("'--opt.momentum'",)),
        ("run --opt adam --betas '[0.9, 0.99]'", ("'--opt.betas'",)),
        ("run --opt=adam --betas=1", ("'--opt.betas'",)),
        ("run --loss dice --smooth 1", ("'--loss.smooth'",)),
        ("plan --model mlp --hidden 3", ("'--model.hidden'",)),
        ("plan --max-epochs 3", ("'--epochs'",)),
        ("plan --criterion dice", ("'--loss'",)),
        ("plan --num-workers 3", ("'--workers'",)),
        ("plan --out x", ("plan writes nothing",)),
        ("plan --quiet", ("plan writes nothing",)),
        ("list dice", ("lossreg show loss dice",)),
        ("show", ("KIND",)),
        ("show nope", ("nothing is named 'nope'", "lossreg list")),
        ("show dise", ("'dice'",)),
        ("show loss 'dice(smoth=1)'", ("'smooth'",)),
        ("help nope", ("no command 'nope'",)),
        ("plan --sched 'epoch // 2'", ("lambda_lr(lr_lambda='epoch // 2')",)),
        ("plan --sched 'lambda epoch: 0.9**epoch'", ("lambda_lr(lr_lambda='0.9**epoch')",)),
        ("plan --sched 'lambda_lr(epoch // 2)'", ("write lr_lambda='epoch // 2'",)),
        ("plan --sched 'lambda_lr(lr_lambda=lambda epoch: epoch // 2)'", ("lr_lambda='epoch // 2'",)),
        ("plan --sched 'lambda_lr(lr_lambda=epoch // 2)'", ("lr_lambda='epoch // 2'",)),
        ("plan --sched lambda_lr --sched.lr_lambda 'lambda epoch: epoch // 2'", ("behind the colon: 'epoch // 2'",)),
        ("plan --loss ce", ("'cross_entropy'",)),
        ("plan --loss CrossEntropyLoss", ("'cross_entropy'",)),
        ("plan --loss L1Loss", ("'l1'",)),
        ("plan --model plain.py", ("@lossreg.models.register", "-p plain.py")),
        ("plan --model ./nets/plain.py", ("@lossreg.models.register", "-p ./nets/plain.py")),
        ("plan --model plain:Net", ("@lossreg.models.register", "-p plain")),
    ],
)
def test_a_guess_is_refused_with_what_was_meant(lossreg_command: Command, line: str, parts: tuple[str, ...]) -> None:
    """A line that another tool would take ends with exit code 2, and the message has what to write here."""
    outcome = lossreg_command(*shlex.split(line))
    assert (outcome.code, outcome.out) == (2, "")
    assert [part for part in parts if part not in outcome.err] == []


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("lr = 0.1", ("'lr'", 'optimizer="sgd(lr=...)"')),
        ('optimizer = "adam"\nbetas = [0.9, 0.99]', ('optimizer="adam(betas=...)"',)),
        ('opt = "sgd"', ("'optimizer'",)),
        ('lr_scheduler = "lambda_lr"', ("'scheduler'",)),
        ("max_epochs = 3", ("'epochs'",)),
    ],
)
def test_a_key_of_another_tool_is_refused_with_the_one_here(
    lossreg_command: Command, tmp_path: Path, text: str, parts: tuple[str, ...]
) -> None:
    """A key that is a parameter, or what another trainer calls a setting, is refused with what to write."""
    Path(tmp_path, "run.toml").write_text(text)
    outcome = lossreg_command("plan", "-c", "run.toml")
    assert outcome.code == 2
    assert [part for part in ("run.toml", *parts) if part not in outcome.err] == []


@for_each(
    ("arguments", "part"),
    [
        ({"lr": 0.1}, 'optimizer="sgd(lr=...)"'),
        ({"opt": "sgd"}, "'optimizer'"),
        ({"max_epochs": 3}, "'epochs'"),
        ({"optimizer": "adam", "betas": 1}, 'optimizer="adam(betas=...)"'),
    ],
)
def test_an_argument_of_another_tool_is_refused_with_the_one_here(arguments: dict[str, object], part: str) -> None:
    """The same holds for the arguments of `lossreg.plan`."""
    with pytest.raises(lossreg.ConfigError, match=re.escape(part)):
        lossreg.plan(**arguments)  # type: ignore[arg-type]  # what is tested


@for_each_apart(
    ("line", "like"),
    [
        ("list losses", "list loss"),
        ("list Optimizers", "list optimizer"),
        ("list opt", "list optimizer"),
        ("list sched", "list scheduler"),
        ("list data", "list dataset"),
        ("show sgd", "show optimizer sgd"),
        ("show builtin.sgd", "show optimizer builtin.sgd"),
        ("show loss 'dice(smooth=1)'", "show loss 'builtin.dice(smooth=1)'"),
        ("show losses dice", "show loss dice"),
        ("show 'dice(smooth=1)'", "show loss 'dice(smooth=1)'"),
        ("help run", "run --help"),
        ("help plan", "plan --help"),
        ("help", "--help"),
    ],
)
def test_another_form_does_the_same(lossreg_command: Command, line: str, like: str) -> None:
    """Plurals, short words, a name without its kind, a spec text and `help` do what the documented form does."""
    first, second = (lossreg_command(*shlex.split(one)) for one in (line, like))
    assert (first.code, first.out, first.err) == (0, second.out, "")


def test_a_name_of_two_kinds_needs_its_kind(command_with: CommandWith, tmp_path: Path) -> None:
    """`show NAME` is refused with the kinds where two have the name."""
    Path(tmp_path, "both.py").write_text(
        "import lossreg\n"
        "lossreg.losses.register('both', 'torch.nn:L1Loss', target='dense')\n"
        "lossreg.models.register('both', 'torch.nn:Identity')\n"
    )
    result = command_with("show", "both", "-p", "both.py", path=tmp_path, cwd=tmp_path)
    assert (result.returncode, result.stdout) == (2, "")
    assert "both is a loss and a model; say which: show loss both" in result.stderr


@for_each(("word", "setting"), SYNONYMS.items())
def test_every_synonym_means_a_setting(word: str, setting: str) -> None:
    """A word of another trainer is no setting here, and what it stands for is one."""
    assert word not in RUN_KEYS
    assert setting in RUN_KEYS


def test_every_short_flag_of_a_component_is_a_synonym() -> None:
    """Whatever a flag is called is understood as a key, too."""
    flags = {flag.removeprefix("--").replace("-", "_") for one in SETTINGS.values() for flag in one.flags}
    assert flags - set(RUN_KEYS) <= SYNONYMS.keys()


@for_each_apart("options", ["nesterov=true", "nesterov=True", "nesterov=TRUE, momentum=0.5"])
def test_param_groups_are_written_as_dotted_options(lossreg_command: Command, options: str) -> None:
    """`true` in a group is what it is behind `--opt.nesterov`."""
    outcome = lossreg_command("plan", "--param-groups", f"*.bias: {options}")
    assert outcome.code == 0
    assert "nesterov=True" in outcome.out


def test_losses_that_fit_leave_out_the_one_that_failed() -> None:
    """A loss that failed is not proposed; another one is."""
    registries = lossreg.load_registries(allow=[])
    registries.losses.register("binary", "torch.nn:BCELoss", target="index", input="probabilities")
    with pytest.raises(lossreg.ContractError) as failed:
        lossreg.plan(loss="binary", registries=registries)
    assert str(failed.value).endswith("Losses that fit: cross_entropy, dice, multi_margin, nll")


def test_a_plan_of_many_epochs_is_short() -> None:
    """A million epochs of one rate are one line."""
    table = str(lossreg.plan(epochs=1_000_000)).partition("learning rate\n")[2]
    assert table.split() == ["0-999999", "0.01"]


def test_a_plan_of_many_rates_shows_the_first_and_the_last() -> None:
    """Of a thousand rates the first and the last fifty are shown, and how many are left out."""
    plan = lossreg.plan(scheduler="lambda_lr(lr_lambda='1 + epoch')", optimizer="sgd(lr=1.0)", epochs=1000)
    rows = [line.split() for line in str(plan).partition("learning rate\n")[2].splitlines()]
    assert rows[:2] == [["0", "1"], ["1", "2"]]
    assert rows[50] == ["...", "900", "more", "lines", "(--json", "has", "all)"]
    assert rows[-1] == ["999", "1000"]
    assert len(rows) == 101


def test_a_plan_prints_as_the_command_shows_it(lossreg_command: Command) -> None:
    """`print(lossreg.plan())` is the text of `lossreg plan`."""
    assert f"{lossreg.plan()}\n" == lossreg_command("plan").out
