"""`lossreg report`: where the page goes, what it refuses, and that nothing is half-written."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.lossreg.reports.conftest import WriteRun, write

if TYPE_CHECKING:
    from tests.conftest import Command


def refused(command: Command, *arguments: str) -> str:
    """What is said of a command line that is wrong: one line, exit code 2, nothing on stdout, and no new file."""
    before = everything(Path.cwd())
    outcome = command("report", *arguments)
    assert (outcome.code, outcome.out) == (2, "")
    assert "Traceback" not in outcome.err
    assert everything(Path.cwd()) == before
    assert outcome.err.startswith("lossreg: error: ")
    assert outcome.err.count("\n") == 1
    return outcome.err.removeprefix("lossreg: error: ").rstrip("\n")


def everything(folder: Path) -> dict[Path, bytes | None]:
    """All files below a folder with their content."""
    return {path: path.read_bytes() if path.is_file() else None for path in folder.rglob("*")}


def test_a_page_goes_into_the_directory_of_its_run(lossreg_command: Command, write_run: WriteRun) -> None:
    """Its name is all that goes to stdout."""
    write_run("first")
    outcome = lossreg_command("report", "first")
    assert (outcome.code, outcome.out, outcome.err) == (0, "first/report.html\n", "")
    text = Path("first/report.html").read_text()
    assert text.startswith("<!doctype html>")
    assert "dice, sgd" in text


def test_a_run_json_stands_for_its_run(lossreg_command: Command, write_run: WriteRun) -> None:
    """A file that shells complete to."""
    write_run("first")
    assert lossreg_command("report", "first/run.json").out == "first/report.html\n"


def test_a_page_on_several_runs_goes_into_the_working_directory(lossreg_command: Command, write_run: WriteRun) -> None:
    """Neither of them is the one that it belongs to."""
    write_run("first")
    write_run("second", epochs=9)
    assert lossreg_command("report", "first", "second").out == "report.html\n"
    assert "2 cells that differ in epochs" in Path("report.html").read_text()


def test_a_page_goes_where_it_is_told(lossreg_command: Command, write_run: WriteRun) -> None:
    """And takes the place of the page that was there."""
    write_run("first")
    Path("page.html").write_text("<!DOCTYPE html>old")
    assert lossreg_command("report", "first", "--out", "page.html").out == "page.html\n"
    assert "old" not in Path("page.html").read_text()[:20]
    assert {path.name for path in Path.cwd().iterdir()} == {"first", "page.html"}


def test_a_real_run_has_a_page(lossreg_command: Command) -> None:
    """What `lossreg run` writes is what `lossreg report` reads."""
    run = lossreg_command(
        *("run", "--epochs", "2", "--limit-train", "64", "--limit-test", "32", "--log-every", "1"),
        *("--out", "real", "--quiet", "--validate", "0.25"),
    )
    assert run.code == 0
    assert lossreg_command("report", "real").code == 0
    text = Path("real/report.html").read_text()
    final = json.loads(Path("real/run.json").read_text())["metrics"]
    assert f"{final['test_accuracy']:.4f}" in text
    assert "train_loss (each logged step)" in text


def test_a_broken_run_in_a_folder_is_left_out(lossreg_command: Command, write_run: WriteRun) -> None:
    """The others have their page; the warning, and the page, say which one is missing."""
    write_run("all/good")
    broken = write_run("all/broken")
    (broken / "run.json").write_text('{"format": 2, "sta')
    outcome = lossreg_command("report", "all")
    assert outcome.code == 0
    assert "warning: all/broken/run.json is not a whole run.json" in outcome.err
    assert "all/broken/run.json is not a whole run.json" in Path("all/report.html").read_text()


def test_no_such_run(lossreg_command: Command) -> None:
    """A name that does not exist."""
    assert refused(lossreg_command, "nowhere") == "there is no run directory nowhere"


def test_a_folder_without_runs(lossreg_command: Command) -> None:
    """A directory that neither is nor holds a run."""
    Path("empty/inside").mkdir(parents=True)
    assert refused(lossreg_command, "empty").startswith("empty is not a run directory and holds none")


def test_a_file_is_no_run(lossreg_command: Command) -> None:
    """A file in the place of a directory."""
    Path("file").touch()
    assert refused(lossreg_command, "file") == "file is not a run directory: it is a file"


@pytest.mark.parametrize(
    "text",
    [
        '{"format": 2, "sta',
        "",
        "[]",
        "[" * 100_000,
        '{"format": 99}',
        '{"format": 2, "spec": 3}',
        "\x00",
        '{"format": 2}',
    ],
    ids=["cut off", "empty", "list", "deep", "other format", "wrong spec", "null byte", "no spec"],
)
def test_a_broken_record(lossreg_command: Command, write_run: WriteRun, text: str) -> None:
    """A run.json that cannot be used is one line that names it."""
    (write_run("run") / "run.json").write_text(text)
    assert refused(lossreg_command, "run").startswith("run/run.json is not a ")


def test_a_folder_of_broken_runs(lossreg_command: Command, write_run: WriteRun) -> None:
    """Where none can be read there is no page."""
    for name in ("all/a", "all/b"):
        (write_run(name) / "run.json").write_text("{")
    message = refused(lossreg_command, "all")
    assert message.startswith("all/a/run.json is not a whole run.json")
    assert message.endswith("(as 1 more run directories in it)")


def test_runs_of_different_metrics(lossreg_command: Command, write_run: WriteRun) -> None:
    """A classification and a regression have nothing to compare."""
    write_run("first")
    rows = [{"kind": "epoch", "epoch": 0, "step": 1, "test_loss": 1.0, "test_mean_absolute_error": 1.0}]
    write_run("second", rows=rows, record={"metrics": rows[0]})
    assert refused(lossreg_command, "first", "second") == (
        "the runs have different metrics, so no page compares them: first has accuracy, second has "
        "mean_absolute_error; name them one at a time"
    )


@pytest.mark.parametrize("place", ["nowhere/page.html", "first/run.json", "first", "/dev/null", "x" * 300])
def test_a_place_that_cannot_be_written_to(lossreg_command: Command, write_run: WriteRun, place: str) -> None:
    """No directory, a record, a directory, a device, a name that is too long: nothing changes."""
    write_run("first")
    refused(lossreg_command, "first", "--out", place)
    assert Path("/dev/null").is_char_device()


@pytest.mark.skipif(os.name == "nt" or os.geteuid() == 0, reason="this user may write anywhere")
def test_a_directory_without_permission(lossreg_command: Command, write_run: WriteRun) -> None:
    """A directory that may be read alone, as that of another user."""
    run = write_run("first")
    run.chmod(0o500)
    try:
        assert "cannot be written: Permission denied" in refused(lossreg_command, "first")
    finally:
        run.chmod(0o700)


def test_a_full_disk_leaves_nothing(lossreg_command: Command, write_run: WriteRun) -> None:
    """A page that cannot be written whole leaves the one that was there."""
    import resource

    write_run("first")
    Path("page.html").write_text("<!doctype html>old")
    limits = resource.getrlimit(resource.RLIMIT_FSIZE)
    import signal

    handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (1000, limits[1]))
    try:
        message = refused(lossreg_command, "first", "--out", "page.html")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        signal.signal(signal.SIGXFSZ, handler)
    assert message == "page.html cannot be written: File too large; name another file"


@pytest.mark.parametrize("arguments", [[""], ["first", "--out", ""]])
def test_an_empty_name(lossreg_command: Command, write_run: WriteRun, arguments: list[str]) -> None:
    """As a shell gives it for a variable that is not set."""
    write_run("first")
    assert "is empty; name a" in refused(lossreg_command, *arguments)


def test_no_run_at_all(lossreg_command: Command) -> None:
    """Without a run there is nothing to show."""
    outcome = lossreg_command("report")
    assert outcome.code == 2
    assert "Missing argument 'RUN...'" in outcome.err


HOSTILE: list[Any] = [
    {"metrics": [1]}, {"metrics": {"test_accuracy": {}}}, {"started": "9999-12-31T23:59:59+23:59"}, {"started": 3},
    {"components": {"loss": {"file": ["x"]}}}, {"participants": [{"file": 3}, 4]}, {"versions": {"torch": []}},
    {"precision": [], "threads": {}, "processes": "x"}, {"best_epoch": -1, "epochs_done": "x", "seconds": -3},
    {"seconds": 1e299, "epochs_done": 10**18, "started": "0001-01-01T00:00:00+00:00"}, {"objects": {"loss": "x"}},
    {"status": [], "reason": {}, "command": [1], "chosen_on": 4}, {"spec": {"seed": "x" * 1000, "data": None}},
    {"spec": {}}, {"spec": {"seed": 10**300, "epochs": {"a": [1] * 100}}},
]  # fmt: skip


@pytest.mark.parametrize("record", HOSTILE, ids=lambda record: json.dumps(record)[:40])
def test_wrong_fields_cost_only_themselves(lossreg_command: Command, write_run: WriteRun, record: Any) -> None:
    """A field of a wrong type counts as missing: alone, and beside a run that is as it should be."""
    write_run("good")
    write_run("odd", record=record)
    for names in (["odd"], ["good", "odd"], ["odd", "good"]):
        outcome = lossreg_command("report", *names, "--out", "page.html")
        assert (outcome.code, outcome.err) == (0, "")


def test_the_page_needs_no_torch(tmp_path: Path) -> None:
    """Neither the page nor the help imports torch; the help imports no jinja2 either, nor does `lossreg list`."""
    write(tmp_path / "run")
    code = """
import sys
from lossreg.cli.main import main
blocked = sys.argv.pop(1).split(",")
class Blocker:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in blocked:
            sys.stderr.write(f"imported: {name}\\n")
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Blocker())
main()
"""
    heavy = "torch,numpy,sklearn,matplotlib,rich"
    for blocked, line in (
        (heavy, ["report", "run"]),
        (f"{heavy},jinja2", ["report", "--help"]),
        (f"{heavy},jinja2", ["list"]),
        (f"{heavy},jinja2", ["--help"]),
    ):
        done = subprocess.run(
            [sys.executable, "-c", code, blocked, *line], cwd=tmp_path, capture_output=True, text=True, check=False
        )
        assert (done.returncode, done.stderr) == (0, "")
