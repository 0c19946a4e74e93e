"""`lossreg runs`: which past runs are listed, in which order, and what is said of the rest."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from lossreg.training.record.owner import this_process
from lossreg.training.record.run_json import pick_fields, write_run_record
from tests.lossreg.cli.test_list_show_plugins import BLOCKER

if TYPE_CHECKING:
    from tests.conftest import Command

LOSSES = {"a": "builtin.dice(smooth=1)", "b": "builtin.cross_entropy", "c": "acme.dice"}
Make = Callable[..., Path]


def record(loss: str, accuracy: float | None, day: int, **fields: Any) -> dict[str, Any]:
    """A run.json."""
    metrics = {"epoch": 2, "step": 12, "train_loss": 0.5, "test_loss": 0.25, "test_accuracy": accuracy}
    return {
        "status": "finished",
        "spec": {
            "loss": loss, "optimizer": "builtin.sgd(lr=0.1)", "scheduler": None, "model": "builtin.mlp",
            "data": "builtin.digits", "epochs": 3, "device": "auto", "validate": None, "compile": False,
        },
        "components": {"optimizer": {"id": "builtin.sgd", "params": {"lr": 0.1, "nesterov": False}}},
        "device": "cpu", "started": f"2026-01-{day:02}T12:00:00+00:00", "seconds": 1.5, "epochs_done": 3,
        "metrics": metrics if accuracy is not None else None,
        **fields,
    }  # fmt: skip


@pytest.fixture
def make(lossreg_command: Command, tmp_path: Path) -> Make:
    """Makes a run directory in `runs` below the working directory."""

    def write(name: str, content: dict[str, Any]) -> Path:
        directory = tmp_path / "runs" / name
        directory.mkdir(parents=True)
        write_run_record(directory, content)
        return directory

    return write


@pytest.fixture
def three(make: Make) -> None:
    """Three runs; the last failed before its first epoch ended."""
    make("a", record(LOSSES["a"], 0.75, 1))
    make("b", record(LOSSES["b"], 0.9, 2, status="stopped", device="cuda:0"))
    make("c", record(LOSSES["c"], None, 3, status="failed", reason="ValueError: no", epochs_done=0))


def names(command: Command, *arguments: str) -> list[str]:
    """The run directories that are listed."""
    outcome = command("runs", *arguments, "--json")
    assert outcome.code == 0, outcome.err
    return [Path(run["directory"]).name for run in json.loads(outcome.out)]


def refusal(command: Command, *arguments: str) -> str:
    """The message of a command line that is refused."""
    outcome = command("runs", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err
    return outcome.err


@pytest.mark.usefixtures("three")
def test_the_table_has_a_line_for_each_run(lossreg_command: Command) -> None:
    """Status, epochs, metric, directory and parts of each run are shown, the newest first."""
    lines = [line.split() for line in lossreg_command("runs").out.splitlines()]
    assert lines[0] == ["started", "status", "epochs", "metric", "directory", "parts"]
    assert [line[2] for line in lines[1:]] == ["failed", "stopped", "finished"]
    assert lines[2][3:] == ["3/3", "test_accuracy", "0.9", "b", "digits", "mlp", "cross_entropy", "sgd(lr=0.1)"]
    assert lines[1][3:6] == ["0/3", "-", "c"]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("loss=dice", "ca"), ("loss=acme.dice", "c"), ("loss=dice(smooth=1)", "a"), ("loss=dice( smooth = 1 )", "a"),
        ("loss=builtin.dice(smooth=1)", "a"), ("loss=dice(smooth=2)", ""), ("loss!=dice", "b"), ("loss=*entropy", "b"),
        ("loss=cross-entropy", "b"), ("scheduler=none", "cba"), ("sched!=none", ""), ("opt=sgd", "cba"),
        ("status=failed", "c"), ("status!=failed", "ba"), ("test_accuracy>=0.9", "b"), ("test_accuracy<0.9", "a"),
        ("test_accuracy=0.75", "a"), ("test_accuracy > 7.5e-1", "b"), ("test_accuracy!=0.75", "cb"),
        ("epochs=3", "cba"), ("epochs==3.0", "cba"), ("epochs>3", ""), ("epochs_done<1", "c"), ("opt.lr=0.1", "cba"),
        ("optimizer.lr<0.1", ""), ("opt.nesterov=no", "cba"), ("compile=false", "cba"), ("validate=none", "cba"),
        ("created>=2026-01-02", "cb"), ("created=2026-01", "cba"), ("device=cuda:0", "b"), ("directory=/a", "a"),
        ("reason=ValueError: no", "c"), ("best_epoch=none", "cba"), ("seconds<=1.5", "cba"), ("max-epochs=3", "cba"),
    ],
)  # fmt: skip
def test_a_condition_chooses_runs(lossreg_command: Command, condition: str, expected: str) -> None:
    """The runs for which it holds are listed, the newest first."""
    assert names(lossreg_command, "--where", condition) == list(expected)


@pytest.mark.usefixtures("three")
def test_all_conditions_have_to_hold(lossreg_command: Command) -> None:
    """--where may be given more than once."""
    assert names(lossreg_command, "--where", "loss=dice", "--where", "status=finished") == ["a"]


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("field", "expected"),
    [("test_accuracy", "abc"), ("-test_accuracy", "bac"), ("created", "abc"), ("-when", "cba"), ("status", "cab"),
     ("-epochs_done", "abc"), ("loss", "cba"), ("opt.lr", "abc"), ("-seconds", "abc")],
)  # fmt: skip
def test_runs_are_sorted(lossreg_command: Command, field: str, expected: str) -> None:
    """By a field, the greatest first with a minus; those that lack it are last, equal ones in the order of names."""
    assert names(lossreg_command, "--sort", field) == list(expected)


@pytest.mark.usefixtures("three")
def test_the_first_runs_are_listed(lossreg_command: Command) -> None:
    """--limit takes the first of the order."""
    assert names(lossreg_command, "--sort", "-test_accuracy", "--limit", "1") == ["b"]
    assert "0 is not in the range" in refusal(lossreg_command, "--limit", "0")


@pytest.mark.usefixtures("three")
def test_what_is_asked_for_is_shown(lossreg_command: Command) -> None:
    """A field of a condition that the table lacks has a column."""
    assert "optimizer.lr=0.1" in lossreg_command("runs", "--where", "opt.lr>0").out


@pytest.mark.usefixtures("three")
@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--where", "los=dice"], "no run here has 'los'. Did you mean 'loss'?"),
        (["--where", "test_acuracy>1"], "Did you mean 'test_accuracy'"),
        (["--sort", "sede"], "--sort sede: no run here has 'sede'. Did you mean 'seed'"),
        (["--sort", "-"], "write FIELD, or -FIELD"),
        (["--sort", ""], "write FIELD, or -FIELD"),
        (["--sort", "a=b"], "write FIELD, or -FIELD"),
        (["--where", "loss"], "write FIELD=VALUE"),
        (["--where", "loss="], "write FIELD=VALUE"),
        (["--where", "=dice"], "write FIELD=VALUE"),
        (["--where", ""], "write FIELD=VALUE"),
        (["--where", "status=faild"], "there is no status 'faild'. Did you mean 'failed'?"),
        (["--where", "status>1"], "status is not a number; compare it with = or !="),
        (["--where", "loss>dice"], "loss is not a number"),
        (["--where", "test_accuracy>=high"], "'high' is not a number"),
        (["--where", "test_accuracy>=nan"], "'nan' is not a number"),
        (["--where", "test_accuracy>=0,9"], "write 0.9"),
        (["--where", "created>noon"], "'noon' is not a time, such as 2026-01-31"),
        (["--where", "loss=dice(smooth"], "dice(smooth"),
        (["--where", "opt.momentun=1"], "no optimizer here has a parameter 'momentun'"),
        (["--where", "foo.lr=1"], "'foo' is not a component; components: data, model, loss, optimizer, scheduler"),
        (["nowhere"], "there is no folder nowhere"),
        (["runs/a/run.json"], "runs/a/run.json is not a folder of runs: it is a file"),
        (["\x1b[2J"], "there is no folder \\x1b[2J"),
    ],
)
def test_nonsense_is_refused(lossreg_command: Command, arguments: list[str], said: str) -> None:
    """What is wrong is said in one message, and nothing is listed."""
    assert said in refusal(lossreg_command, *arguments)


def test_without_a_folder_of_runs_it_is_said_who_makes_it(lossreg_command: Command) -> None:
    """A folder where nothing was run yet is told from a misspelt one."""
    assert "there is no folder runs here: lossreg run makes it" in refusal(lossreg_command)


def test_an_empty_folder_is_no_error(lossreg_command: Command, tmp_path: Path) -> None:
    """A line says that there is none."""
    (tmp_path / "runs").mkdir()
    outcome = lossreg_command("runs")
    assert (outcome.code, outcome.out, outcome.err) == (0, "", "no run in runs\n")
    assert lossreg_command("runs", "--json").out == "[]\n"


def test_the_cells_of_a_comparison_are_listed(lossreg_command: Command, make: Make, tmp_path: Path) -> None:
    """Run directories one level deeper are found; a folder of runs may be a run directory, too."""
    make("compare/x", record("builtin.dice", 0.5, 1))
    make("compare/y", record("builtin.l1", 0.25, 2))
    assert names(lossreg_command) == ["y", "x"]
    assert names(lossreg_command, "runs/compare") == ["y", "x"]
    assert names(lossreg_command, "runs/compare/x") == ["x"]
    assert "compare/x" in lossreg_command("runs").out


def test_what_is_not_a_run_is_a_line(lossreg_command: Command, make: Make, tmp_path: Path) -> None:
    """Foreign and broken directories are a line each on stderr; files are passed over."""
    make("good", record("builtin.dice", 0.5, 1))
    runs = tmp_path / "runs"
    for name, text in (("torn", '{"format": 2, "spec'), ("later", '{"format": 9}'), ("deep", "[" * 10_000)):
        (runs / name).mkdir()
        (runs / name / "run.json").write_text(text)
    (runs / "foreign\x1b\n" / "deeper" / "still").mkdir(parents=True)
    (runs / "notes.txt").touch()
    outcome = lossreg_command("runs")
    assert outcome.code == 0
    assert len(outcome.out.splitlines()) == 2
    assert outcome.err.splitlines() == [
        "runs/deep/run.json is not a whole run.json: it is nested too deep",
        "runs/foreign\\x1b\\n is not a run directory: it has no run.json",
        "runs/later/run.json is not a run.json of format 1 or 2, which this lossreg reads",
        "runs/torn/run.json is not a whole run.json: Unterminated string starting at: line 1 column 15 (char 14)",
    ]


def test_hostile_records_are_listed_in_printable_text(lossreg_command: Command, make: Make) -> None:
    """What a run.json holds moves no cursor and starts no line."""
    evil = "a\x1b[2J\nb\ud800"
    make(
        "evil", record(evil, 0.5, 1, status=evil, device=evil, reason=evil, metrics={evil: 1, "test_accuracy": 10**400})
    )
    for arguments in ((), ("--json",), ("--where", "device!=cpu"), ("--sort", "reason")):
        outcome = lossreg_command("runs", *arguments)
        assert outcome.code == 0, outcome.err
        assert "\x1b" not in outcome.out
        assert len(outcome.out.splitlines()) == (1 if arguments == ("--json",) else 2)


def test_a_run_is_listed_as_it_was_trained(lossreg_command: Command) -> None:
    """The summary of a run has the final metrics that the run itself printed."""
    trained = lossreg_command("run", "--epochs", "1", "--limit-train", "64", "--limit-test", "64", "--quiet", "--json")
    (listed,) = json.loads(lossreg_command("runs", "--json").out)
    assert listed["final"] == json.loads(trained.out)["final"]
    assert listed["components"]["loss"] == "builtin.cross_entropy"


def test_picked_fields_are_those_of_the_whole_record(make: Make) -> None:
    """What is picked from the text is what reading all of it gives, also where strings look like fields."""
    tricky = '\n  "status": "failed",\n  "x": {'
    directory = make("a", record(tricky, 0.5, 1, reason=tricky, nested={"status": "no", "more": [{"status": "no"}]}))
    data = (directory / "run.json").read_bytes()
    whole = json.loads(data)
    picked = pick_fields(data, [key.encode() for key in whole])
    assert picked == whole
    assert pick_fields(data, [b"status", b"reason"]) == {"status": "finished", "reason": tricky}
    assert pick_fields(data[:-3], [b"status"]) is None
    assert pick_fields(json.dumps(whole).encode(), [b"status"]) is None


def test_listing_imports_nothing_heavy(make: Make, tmp_path: Path) -> None:
    """`lossreg runs` imports neither torch nor numpy nor rich."""
    make("a", record("builtin.dice", 0.5, 1))
    code = f"{BLOCKER}\nfrom lossreg.cli.main import main\nmain(['runs', '--json'])"
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")
    assert len(json.loads(done.stdout)) == 1
    shutil.rmtree(tmp_path / "runs")


def test_a_run_whose_process_is_gone_is_listed_as_lost(lossreg_command: Command, make: Make) -> None:
    """A run.json that says running, of a machine that has been started anew since, is a lost run."""
    process = {**this_process(), "boot": "another"}
    make("a", record("builtin.dice", None, 1, status="running", process=process))
    make("b", record("builtin.dice", None, 2, status="running", process=this_process()))
    assert names(lossreg_command, "--where", "status=lost") == ["a"]
    assert names(lossreg_command, "--where", "status=running") == ["b"]
