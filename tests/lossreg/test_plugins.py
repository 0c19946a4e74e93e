"""Discovery, with real distributions: what works, what fails, and that a failure costs nobody else anything."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install


def plugins(command_with: CommandWith, path: Path | list[Path]) -> dict[str, Any]:
    """The rows of `lossreg plugins --json`, by distribution."""
    result = command_with("plugins", "--json", path=path)
    assert result.returncode == 0, result.stderr
    return {row["distribution"]: row for row in json.loads(result.stdout)}


def test_a_loss_of_another_distribution_is_named_like_a_built_in(
    install: Install, tmp_path: Path, command_with: CommandWith
) -> None:
    """An installed package's loss trains by its short name, with its parameters and its provenance in the record."""
    site = install("good-losses")
    arguments = ["run", "--loss", "focal(gamma=1.5)", "--epochs", "1", "--limit-train", "64", "--out", "out"]
    result = command_with(*arguments, path=site, cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["spec"]["loss"] == "good.focal(gamma=1.5)"
    assert record["components"]["loss"] == {
        "id": "good.focal", "params": {"gamma": 1.5}, "plugin": "good", "distribution": "good-losses", "version": "1.0",
    }  # fmt: skip


def test_components_of_all_kinds_train_together(install: Install, tmp_path: Path, command_with: CommandWith) -> None:
    """Loss, optimizer, scheduler, model, data set and run hook of one distribution work in one run."""
    parts = ["--loss", "brier", "--opt", "sign_sgd(lr=0.1)", "--sched", "all.cosine", "--data", "corners"]
    run = ["run", *parts, "--epochs", "60", "--out", "out"]
    result = command_with(*run, path=install("all-kinds"), cwd=tmp_path)
    assert result.returncode == 0, result.stderr
    record = json.loads((tmp_path / "out" / "run.json").read_text())
    assert record["metrics"]["test_accuracy"] == 1.0
    assert record["contract"]["input"] == "softmax"
    assert record["components"]["scheduler"]["params"]["T_max"] == 60
    assert record["components"]["model"]["params"] == {"in_features": 2, "out_features": 2}
    assert (tmp_path / "out" / "all_kinds.txt").read_text() == "60 epochs"


FAILURES = {
    "bad-import": "ModuleNotFoundError: No module named 'a_module_that_nobody_has'",
    "bad-raises": "ValueError: I cannot be imported on any day",
    "bad-syntax": "SyntaxError: invalid syntax",
    "bad-exit": "SystemExit: 3",
    "bad-misspelt": "there is no hook 'lossreg_loses'. Did you mean 'lossreg_losses'",
    "bad-unmarked": "lossreg_losses is not marked with @lossreg.hookimpl",
    "bad-wrapper": "lossreg_losses is a wrapper",
    "bad-arguments": "lossreg_losses takes registry, which the hook does not give",
    "bad-hook-raises": "RuntimeError: no losses today",
    "bad-answer": "lossreg_losses returned 7",
    "bad-record": "it returns lossreg.Loss components",
    "bad-name": "a loss is named 'Not-A-Name'",
    "bad-duplicate": "it offers the loss 'twice' twice",
    "bad-empty": "its hooks returned no component",
    "bad-nothing": "no function is marked with @lossreg.hookimpl",
    "bad-factory": "the factory of loss 'lost' does not exist: bad_factory.plugin:Nowhere",
    "bad-factory-module": "the factory of loss 'lost' does not exist: bad_factory_module.nowhere:Loss",
    "claims-builtin": "the name 'builtin' is reserved for lossreg itself",
    "claims-module": "the module lossreg_builtin.plugin belongs to lossreg itself",
}


@pytest.mark.parametrize(("distribution", "reason"), FAILURES.items())
def test_a_faulty_plugin_costs_one_line_and_itself(
    install: Install, distribution: str, reason: str, command_with: CommandWith
) -> None:
    """A faulty plugin is one warning line that says who and why; everything else works and is listed."""
    result = command_with("list", "loss", "--json", path=install(distribution, "good-losses"))
    assert result.returncode == 0
    names = [row["name"] for row in json.loads(result.stdout)]
    assert names == ["cross_entropy", "dice", "l1", "mse", "focal"]
    (line,) = result.stderr.splitlines()
    assert f"({distribution} 1.0) failed to load: " in line
    assert reason in line


@pytest.mark.parametrize("distribution", FAILURES)
def test_lossreg_plugins_explains_a_failure(install: Install, distribution: str, command_with: CommandWith) -> None:
    """`lossreg plugins` remembers the state and the reason of a plugin that failed."""
    row = plugins(command_with, install(distribution))[distribution]
    assert (row["state"], row["offers"]) == ("failed", {})
    assert FAILURES[distribution] in row["problem"]


@pytest.mark.parametrize("distribution", FAILURES)
def test_strict_makes_every_fault_an_error(install: Install, distribution: str, command_with: CommandWith) -> None:
    """Where it is strict, each fault ends the command with 2 and its reason."""
    result = command_with("list", "--strict", path=install(distribution))
    assert (result.returncode, result.stdout) == (2, "")
    assert FAILURES[distribution] in result.stderr


def test_ctrl_c_passes_through(install: Install, command_with: CommandWith) -> None:
    """Ctrl-C while a plugin is imported ends the command with 130, and is no fault of the plugin."""
    result = command_with("list", path=install("bad-interrupt"))
    assert (result.returncode, result.stdout) == (130, "")
    assert "failed to load" not in result.stderr


def test_a_lookup_that_fails_names_the_plugins_that_failed(install: Install, command_with: CommandWith) -> None:
    """The error for an unknown name says which plugins are not there, since the name may be theirs."""
    result = command_with("show", "loss", "unreachable", path=install("bad-import"))
    assert result.returncode == 2
    assert "no loss named 'unreachable'" in result.stderr
    assert result.stderr.count("plugin 'broken' (bad-import 1.0) failed to load: ModuleNotFoundError") == 2


def test_a_slow_import_costs_the_line_alone(install: Install, command_with: CommandWith) -> None:
    """A plugin whose import takes over a second is warned of, and works."""
    result = command_with("list", "loss", "late", path=install("bad-slow"))
    assert "its import took 1." in result.stderr
    assert "late" in result.stdout


def test_a_factory_that_is_not_there_is_an_error_when_it_is_used(install: Install, command_with: CommandWith) -> None:
    """A factory whose module is there and lacks it is named with its component and its distribution."""
    result = command_with("show", "loss", "lost", path=install("bad-factory-late"))
    assert result.returncode == 2
    assert (
        "loss factory_late.lost (bad-factory-late 1.0): its factory 'bad_factory_late.loss:Loss' cannot"
        in result.stderr
    )
    assert "Traceback" not in result.stderr


def test_a_run_hook_that_raises_does_not_end_the_run(
    install: Install, tmp_path: Path, command_with: CommandWith
) -> None:
    """A plugin that fails in a run is left out of the rest of it, with one line; the run finishes."""
    site = install("bad-run-hook", "all-kinds")
    result = command_with(
        "run", "--epochs", "3", "--limit-train", "64", "--out", "out", "--quiet", path=site, cwd=tmp_path
    )
    assert result.returncode == 0
    (line,) = result.stderr.splitlines()
    assert "plugin 'run_hook' failed in lossreg_epoch_finished" in line
    assert "ValueError: I do not like this epoch" in line
    assert (tmp_path / "out" / "all_kinds.txt").exists()


def test_two_distributions_with_one_name_are_both_refused(install: Install, command_with: CommandWith) -> None:
    """Of two plugins of one name neither is loaded, and each is told of the other."""
    rows = plugins(command_with, install("twin-one", "twin-two"))
    assert {rows["twin-one"]["state"], rows["twin-two"]["state"]} == {"failed"}
    assert "twin-two 1.0 offers a plugin of the same name" in rows["twin-one"]["problem"]
    assert "twin-one 1.0 offers a plugin of the same name" in rows["twin-two"]["problem"]


def test_a_built_in_keeps_its_short_name(install: Install, command_with: CommandWith) -> None:
    """A plugin's equal name is reached by its full id; the short one stays the built-in's."""
    site = install("rival-dice")
    assert json.loads(command_with("show", "loss", "dice", "--json", path=site).stdout)["id"] == "builtin.dice"
    assert json.loads(command_with("show", "loss", "Rival.Dice", "--json", path=site).stdout)["id"] == "rival.dice"


def test_an_ambiguous_name_is_an_error_that_lists_full_ids(install: Install, command_with: CommandWith) -> None:
    """A short name that two plugins offer is refused with both full ids and their distributions."""
    result = command_with("show", "loss", "tversky", path=install("rival-dice", "rival-tversky"))
    assert result.returncode == 2
    assert (
        "'tversky' is offered by rival.tversky (rival-dice 1.0) and segments.tversky (rival-tversky 1.0). "
        "Write the full id." in result.stderr
    )


def test_order_decides_nothing(install: Install, command_with: CommandWith) -> None:
    """The same distributions in another order, or in several folders of sys.path, give the same list and plugins."""
    names = ["good-losses", "all-kinds", "rival-dice", "rival-tversky", "twin-one", "twin-two", "bad-import"]
    one = install(*names, folder="forward")
    other = install(*reversed(names), folder="backward")
    split = [install(name, folder=name) for name in names]
    outputs = set()
    for path in (one, other, split, split[::-1]):
        listed = command_with("list", "--json", path=path)
        rows = [{**row, "milliseconds": 0} for row in plugins(command_with, path).values()]
        outputs.add((listed.stdout, listed.stderr, json.dumps(rows)))
    assert len(outputs) == 1


def test_an_installation_that_is_hidden_by_another_does_not_count(install: Install, command_with: CommandWith) -> None:
    """Of two installations of one distribution on sys.path the first counts, as it does for imports."""
    first, second = install("good-losses", folder="first"), install("good-losses", folder="second")
    assert plugins(command_with, [first, second])["good-losses"]["state"] == "loaded"


def test_without_its_own_entry_points_lossreg_says_that_its_installation_is_broken(tmp_path: Path) -> None:
    """Where lossreg's own metadata is missing, the error says so and how to mend it."""
    code = (
        "import importlib.metadata as m; everything = m.distributions;"
        "m.distributions = lambda: (d for d in everything() if d.name != 'lossreg');"
        "from lossreg.cli.main import main; main(['list'])"
    )
    result = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, cwd=tmp_path)
    assert result.returncode == 2
    assert "the installation of lossreg is broken" in result.stderr
