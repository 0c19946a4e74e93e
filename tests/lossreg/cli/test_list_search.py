"""`lossreg list --search`, and what `--json` has for a program to choose from."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lossreg.cli.output import json_text
from tests.table import for_each_apart
from tests.toy_bridge import write_bridges, write_package

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.conftest import CommandWith


def names(command: Command, *arguments: str) -> list[str]:
    """The names that a search finds, in its order."""
    outcome = command("list", *arguments, "--json")
    assert (outcome.code, outcome.err) == (0, "")
    return [row["name"] for row in json.loads(outcome.out)]


def test_the_best_come_first(lossreg_command: Command) -> None:
    """What has the name, before what begins with it, before what has it in its summary, of all kinds."""
    found = names(lossreg_command, "--search", "adam")
    assert found[0] == "adam"
    assert found.index("adamax") < found.index("nadam")
    assert found.index("nadam") < found.index("adafactor")
    assert names(lossreg_command, "--search", "dice")[:2] == ["dice", "mean_dice"]


def test_a_kind_and_the_other_options_narrow_it(lossreg_command: Command) -> None:
    """As they narrow a list."""
    assert names(lossreg_command, "loss", "--search", "dice")[0] == "dice"
    assert "mean_dice" not in names(lossreg_command, "loss", "--search", "dice")
    assert lossreg_command("list", "--search", "dice", "--of", "observers").out == ""
    assert {"mse", "l1"} <= {*names(lossreg_command, "loss", "--search", "mean", "--where", "target=dense")}


def test_a_line_has_name_kind_plugin_and_summary(lossreg_command: Command) -> None:
    """So that one sees what to write, and why it was found."""
    outcome = lossreg_command("list", "--search", "CrossEntropyLoss")
    first = outcome.out.splitlines()[0].split()
    assert first[:4] == ["cross_entropy", "loss", "builtin", "Negative"]


def test_a_long_result_is_cut(lossreg_command: Command) -> None:
    """After the best ones it says how many there are, of which plugins; `--all` shows them."""
    outcome = lossreg_command("list", "--search", "builtin")
    lines = outcome.out.splitlines()
    count = len(names(lossreg_command, "--search", "builtin"))
    assert count > 40
    assert len(lines) == 42
    assert lines[-1].startswith(f"the best 40 of {count}: builtin {count}")
    assert len(lossreg_command("list", "--search", "builtin", "--all").out.splitlines()) == count


def test_nothing_found_says_what_is_near(lossreg_command: Command) -> None:
    """On stderr, and there is nothing on stdout but an empty array."""
    outcome = lossreg_command("list", "--search", "entorpi", "--json")
    assert (outcome.code, outcome.out) == (0, "[]\n")
    assert "nothing is found for 'entorpi'. Near: cross_entropy" in outcome.err


@for_each_apart("text", ["", "  ", "--", "_"])
def test_a_search_for_nothing_is_an_error(text: str, lossreg_command: Command) -> None:
    """It would find everything, or nothing."""
    outcome = lossreg_command("list", f"--search={text}")
    assert (outcome.code, outcome.out) == (2, "")
    assert "has no letter or digit" in outcome.err


@pytest.mark.parametrize(
    ("words", "meant"),
    [(["focal"], "--search focal"), (["--search", "schedule", "free"], "--search 'schedule free'")],
)
def test_a_word_that_is_no_kind_may_be_one_to_look_for(words: list[str], meant: str, lossreg_command: Command) -> None:
    """The error has the command that looks for it."""
    outcome = lossreg_command("list", *words)
    assert outcome.code == 2
    assert f"lossreg list {meant}" in outcome.err


def test_tables_are_searched_and_so_is_what_is_not_installed(command_with: CommandWith, tmp_path: Path) -> None:
    """Of a package that is not installed it says what it has, and what installs it; a broken index has nothing."""
    site = write_bridges(tmp_path / "site", "toy", "gone", "broken")
    (site / "lossreg_broken" / "index.json").write_text("{")
    path = [site, write_package(tmp_path / "packages")]
    outcome = command_with("list", "--search", "lion", path=path, LOSSREG_BRIDGES="1")
    assert outcome.returncode == 0
    assert outcome.stdout.split()[:4] == ["lion", "optimizer", "toy", "Roars"]
    assert outcome.stderr == "not installed: gone.lion (optimizer): pip install 'lossreg[gone]'\n"


def test_json_has_what_a_program_chooses_by(lossreg_command: Command) -> None:
    """Where a component comes from, what it takes, and what its kind adds."""
    rows = {row["id"]: row for row in json.loads(lossreg_command("list", "--json").out)}
    row = rows["builtin.mnist_cnn"]
    assert {
        "kind",
        "name",
        "aliases",
        "summary",
        "deprecated",
        "plugin",
        "distribution",
        "version",
        "nested",
    } <= row.keys()
    parameters = {one["name"]: one for one in row["parameters"]}
    assert parameters["hidden"] == {"name": "hidden", "supplied_by_runner": None, "default": 64}
    assert parameters["num_classes"] == {"name": "num_classes", "supplied_by_runner": "num_classes"}
    assert rows["builtin.dice"]["contract"]["target"] == "index"
    assert rows["builtin.warmup"]["nested"] == "schedule"


def test_every_row_declares_its_parameters_once(lossreg_command: Command) -> None:
    """They are those of `defaults`, `required` and `runtime_args`."""
    for row in json.loads(lossreg_command("list", "--json").out):
        declared = [*row["required"], *row["defaults"], *row["runtime_args"]]
        assert [one["name"] for one in row["parameters"]] == [*dict.fromkeys(declared)]
        assert {one["name"]: one["default"] for one in row["parameters"] if "default" in one} == row["defaults"]


def test_numbers_without_end_are_texts() -> None:
    """JSON has no word for them, and most programs refuse Python's."""

    def refuse(word: str) -> Any:
        raise AssertionError(word)

    found = json.loads(json_text({"a": [float("inf"), 1.5], "b": {"c": float("-inf")}}), parse_constant=refuse)
    assert found == {"a": ["inf", 1.5], "b": {"c": "-inf"}}
