"""`--observe`: the option, the key of a file, the repeat of a run, a stranger's tracker, completion and the doctor."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg
from lossreg.plugins.entry_points import EntryPoint
from lossreg.plugins.loader import Installed, reason_not_to_load
from lossreg.plugins.plugin_settings import PluginSettings
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.cli.conftest import Ask
    from tests.lossreg.conftest import CommandWith, Install, LoadWith, Result

MINE = """
import lossreg

@lossreg.observers.register("lines_of_a_test")
class Lines:
    def __init__(self, name: str = "lines.txt"):
        self.name = name

    def lossreg_epoch_finished(self, run, record):
        with (run.directory / self.name).open("a") as file:
            print(record["epoch"], file=file)
"""
SMALL = ("--data", "diabetes", "--epochs", "2", "--quiet", "--device", "cpu")


@pytest.fixture
def run(command_with: CommandWith, tmp_path: Path) -> Callable[..., Result]:
    """A small run with a file that registers the observer `lines_of_a_test`."""
    (tmp_path / "mine_of_a_test.py").write_text(MINE)
    return lambda *options: command_with(
        "run", "-p", "mine_of_a_test.py", *SMALL, *options, path=tmp_path, cwd=tmp_path
    )


def spec_of(folder: Path) -> dict[str, Any]:
    """The settings in a run directory."""
    spec: dict[str, Any] = json.loads((folder / "run.json").read_text())["spec"]
    return spec


def test_the_option_may_be_given_more_than_once(command_with: CommandWith, install: Install, tmp_path: Path) -> None:
    """Each --observe names one more observer, with parameters of its own."""
    site = install("tracker-of-acme")
    names = ["--observe", "lines", "--observe", "acme.lines(name='second.txt')"]
    result = command_with("run", *SMALL, *names, "--out", "first", path=site, cwd=tmp_path)
    assert (result.returncode, result.stderr.splitlines()) == (0, ["this goes to stderr"] * 4)
    lines = ["started lr=0.01", "epoch 0", "epoch 1", "finished"]
    for name in ("lines.txt", "second.txt"):
        assert (tmp_path / "first" / name).read_text().splitlines() == lines
    assert spec_of(tmp_path / "first")["observe"] == ["acme.lines", "acme.lines(name='second.txt')"]


def test_a_tracker_that_is_down_does_not_end_a_run(command_with: CommandWith, install: Install, tmp_path: Path) -> None:
    """One line on stderr, exit code 0, and the other tracker has it all."""
    site = install("tracker-of-acme")
    result = command_with(
        "run", *SMALL, "--observe", "down", "--observe", "lines", "--out", "x", path=site, cwd=tmp_path
    )
    assert result.returncode == 0
    (warning,) = [line for line in result.stderr.splitlines() if line != "this goes to stderr"]
    assert warning == (
        "lossreg: warning: the observer acme.down failed in lossreg_run_started and is left out of this run: "
        "ConnectionError: no answer from tracker.acme.example"
    )
    assert (tmp_path / "x" / "lines.txt").read_text().endswith("finished\n")
    assert not (tmp_path / "x" / "called").exists()


def test_the_doctor_tries_observers(command_with: CommandWith, install: Install, tmp_path: Path) -> None:
    """What is no observer is found; one whose library is missing is well, and is not tried."""
    result = command_with("plugins", "doctor", "acme", "--json", path=install("tracker-of-acme"), cwd=tmp_path)
    assert result.returncode == 1
    (finding,) = json.loads(result.stdout)
    problems = {part["name"]: part["problem"] for part in finding["components"]}
    assert problems == {
        "acme.lines": None,
        "acme.down": None,
        "acme.needy": None,
        "acme.blind": problems["acme.blind"],
    }
    assert problems["acme.blind"].startswith("the observer acme.blind has no method named like a run hook")


def test_a_stranger_s_observers_are_listed(load_with: LoadWith, install: Install) -> None:
    """An installed distribution's observers resolve by short name and by full id, with their provenance."""
    registries = load_with(install("tracker-of-acme"))
    assert {"lines", "down", "tensorboard"} <= set(registries.observers.names())
    entry = registries.observers["lines"]
    assert (entry.id, str(entry.provenance)) == ("acme.lines", "tracker-of-acme 1.0")
    assert entry.component.contract() == {"blocking": False, "wait": 30.0}


def test_a_file_has_a_list_and_an_option_replaces_it(run: Callable[..., Result], tmp_path: Path) -> None:
    """`observe` in a TOML file is a list or one text; --observe replaces it, and `none` empties it."""
    (tmp_path / "list.toml").write_text("observe = [\"lines_of_a_test(name='a.txt')\", 'lines_of_a_test']")
    (tmp_path / "one.toml").write_text("observe = 'lines_of_a_test'")
    for options, files in (
        (("-c", "list.toml"), {"a.txt", "lines.txt"}),
        (("-c", "one.toml"), {"lines.txt"}),
        (("-c", "list.toml", "--observe", "lines_of_a_test(name='b.txt')"), {"b.txt"}),
        (("-c", "list.toml", "--observe", "none"), set()),
    ):
        out = tmp_path / f"out{len(list(tmp_path.iterdir()))}"
        assert run(*options, "--out", str(out)).returncode == 0
        assert {path.name for path in out.glob("*.txt")} == files


def test_a_repeat_has_the_observers_again(run: Callable[..., Result], tmp_path: Path) -> None:
    """`-c run.json` names them with their parameters, and says nothing."""
    assert run("--observe", "lines_of_a_test(name='a.txt')", "--out", "first").returncode == 0
    result = run("-c", "first/run.json", "--out", "again")
    assert (result.returncode, result.stderr) == (0, "")
    assert spec_of(tmp_path / "again") == spec_of(tmp_path / "first")
    assert (tmp_path / "again" / "a.txt").read_text() == "0\n1\n"


def test_a_repeat_says_where_a_missing_observer_came_from(
    lossreg_command: Command, command_with: CommandWith, install: Install, tmp_path: Path
) -> None:
    """An observer that is missing is an error with exit code 2, which another --observe takes away."""
    site = install("tracker-of-acme")
    assert command_with("run", *SMALL, "--observe", "lines", "--out", "first", path=site, cwd=tmp_path).returncode == 0
    outcome = lossreg_command("run", "-c", "first", "--out", "again")
    assert outcome.code == 2
    assert outcome.err == (
        "lossreg: error: first/run.json cannot be repeated: its observer acme.lines is missing here; "
        "it came from tracker-of-acme 1.0: install it, or let its plugin load\n"
    )
    assert not (tmp_path / "again").exists()
    assert lossreg_command("plan", "-c", "first", "--observe", "none").code == 0


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--observe", "tensorbord"], "no observer named 'tensorbord'. Did you mean 'tensorboard'"),
        (["--observe", "tensorboard(dir='x')"], "tensorboard has no parameter 'dir'. Did you mean 'directory'?"),
        (["--observe", "wandb(mode='on')"], "mode"),
        (["--observe", "mlflow(artifacts='yes')"], "artifacts"),
        (["--observe", "dice"], "loss 'dice' exists; it is not an observer"),
        (["--observe", "tensorboard("], "is not a spec"),
        (["--observe", ""], "is not a spec"),
        (["--observe", "mlflow", "--observe", "observers.mlflow"], "observe: mlflow is given twice"),
        (["--observe", "none", "--observe", "mlflow"], "no observer named 'none'"),
        (
            ["--observe.directory", "x"],
            '--observe.directory: there may be several observers; write --observe "NAME(directory=...)"',
        ),
        (["--tracker", "mlflow"], "Did you mean '--observe'?"),
    ],
)
@pytest.mark.parametrize("verb", ["run", "plan"])
def test_a_wrong_option_is_refused(
    lossreg_command: Command, tmp_path: Path, verb: str, options: list[str], said: str
) -> None:
    """Exit code 2 and one message, before anything is written."""
    outcome = lossreg_command(verb, *options)
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err
    assert outcome.err.count("error") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("observe = ['tensorbord']", "run.toml: no observer named 'tensorbord'"),
        ("observe = 5", "run.toml: observe is a list of spec texts such as 'name(key=value)', not 5"),
        (
            "observe = [5]",
            "observe (--observe) is a list of spec texts such as 'name(key=value)'; 5 is not a spec text",
        ),
        ("[observe]\na = 1", "run.toml: observe is a list of spec texts such as 'name(key=value)', not {'a': 1}"),
        ("loggers = ['mlflow']", "run.toml: there is no key 'loggers'. Did you mean 'observe'?"),
    ],
)
def test_a_wrong_key_names_the_file(lossreg_command: Command, tmp_path: Path, content: str, said: str) -> None:
    """What is wrong in a file is told with the file's name."""
    (tmp_path / "run.toml").write_text(content)
    outcome = lossreg_command("plan", "-c", "run.toml")
    assert (outcome.code, outcome.out) == (2, "")
    assert said in outcome.err


def test_our_own_trackers_cannot_be_blocked() -> None:
    """Their plugin belongs to lossreg itself, as the built-ins do, and to block it would have no effect."""
    with pytest.raises(lossreg.ConfigError, match="the plugin 'observers' belongs to lossreg itself"):
        lossreg.load_registries(block=["observers"])


@for_each(
    ("name", "module", "said"),
    [
        ("observers", "acme.plugin", "the name 'observers' is reserved for lossreg itself"),
        ("acme", "lossreg_observers.plugin", "the module lossreg_observers.plugin belongs to lossreg itself"),
    ],
)
def test_the_plugin_of_our_own_trackers_is_reserved(name: str, module: str, said: str) -> None:
    """No other distribution can claim its name or its module."""
    claims = EntryPoint(name, module, "claims", "1.0")
    installed = Installed.scan()
    reason = reason_not_to_load(claims, Installed(installed.own, (*installed.others, claims)), PluginSettings())
    assert reason is not None
    assert reason.problem == said


def test_observers_are_completed(ask: Ask) -> None:
    """Behind --observe stand the names, and in parentheses the parameters."""

    def complete(word: str) -> set[str]:
        answer = ask("bash", ["lossreg", "run", "--observe", word])
        return {line.partition(",")[2] for line in answer.splitlines()}

    assert {"mlflow", "tensorboard", "wandb"} <= complete("")
    assert complete("tens") == {"tensorboard"}
    assert "mlflow(artifacts=" in complete("mlflow(")
    assert complete("wandb(mode=") == {"wandb(mode='offline'", "wandb(mode='online'"}


def test_show_has_the_contract(lossreg_command: Command) -> None:
    """`show` has whether it blocks and how long the end of a run waits; `list --where` goes by the first."""
    shown = lossreg_command("show", "tensorboard").out
    assert re.search(r"^contract +blocking=False: .*\n +wait=30.0: ", shown, re.MULTILINE)
    listed = json.loads(lossreg_command("list", "observer", "--where", "blocking=false", "--json").out)
    assert {"mlflow", "tensorboard", "wandb"} <= {row["name"] for row in listed}


@for_each("wait", [-1, float("inf"), float("nan"), "30", True, None])
def test_a_wrong_wait_is_refused(wait: Any) -> None:
    """`wait` is a finite number of seconds."""
    with pytest.raises(lossreg.ComponentError, match="observer 'x' has wait="):
        lossreg.Observer("x", "acme:X", wait=wait)
