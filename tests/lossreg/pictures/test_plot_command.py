"""`lossreg plot`: one clear message, exit code 2 and no file where something is wrong."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.pictures.conftest import PastRunMaker


def test_the_path_is_printed(past_run: PastRunMaker, lossreg_command: Command) -> None:
    """The picture is plot.png unless --out says otherwise; its path is all of stdout."""
    past_run("a")
    outcome = lossreg_command("plot", "a")
    assert (outcome.code, outcome.out, outcome.err) == (0, "plot.png\n", "")
    outcome = lossreg_command("plot", "a", "--metric", "test_accuracy", "--x", "step", "--log", "--out", "b.svg")
    assert (outcome.code, outcome.out, outcome.err) == (0, "b.svg\n", "")
    assert Path("plot.png").read_bytes().startswith(b"\x89PNG")
    assert Path("b.svg").read_bytes().startswith(b"<?xml")


@for_each_apart(
    ("line", "message"),
    [
        ("", "Missing argument 'RUN...'"),
        ("none", "there is no run directory none"),
        ("a/metrics.jsonl", "is not a run directory: it is a file"),
        ("empty", "empty is not a run directory and holds none: neither it nor a folder below it has a run.json"),
        ("a cut", "cut/run.json is not a whole run.json"),
        ("a hostile", "hostile/run.json is not a run.json of format 1 or 2"),
        ("a deep", "deep/run.json is not a whole run.json"),
        ("a error", "the runs have different metrics: a has test_accuracy, error has test_mean_absolute_error"),
        ("a --metric test_acuracy", "a has no metric 'test_acuracy'. Did you mean 'test_accuracy'?"),
        ("a error --metric test_accuracy", "error has no metric 'test_accuracy'"),
        ("held held2", "the runs have train_speed: say which to draw, with --metric NAME"),
        ("held --metric test_accuracy", "held measured test_accuracy once, at its end"),
        ("none_yet", "there is nothing to draw: none_yet has no metrics"),
        ("a none_yet --metric x", "a has no metric 'x'"),
        ("a --out none/x.png", "there is no directory none; make it first"),
        ("a --out x.gif", "it ends in one of .png, .svg, .pdf"),
        ("a --out empty.png", "is a directory; name a file in it"),
        ("a --out /proc/x.png", "/proc/x.png cannot be written"),
        ("a --x minutes", "'minutes' is not one of 'epoch', 'step', 'seconds'"),
    ],
)
def test_nonsense_is_refused(past_run: PastRunMaker, lossreg_command: Command, line: str, message: str) -> None:
    """One message on stderr, exit code 2, and nothing is written."""
    past_run("a")
    past_run("error", {"test_mean_absolute_error": [3, 2, 1]})
    past_run("held", {"train_speed": [1]}, [{"kind": "test", "epoch": 0, "step": 1, "test_accuracy": 0.5}])
    past_run("held2", {"train_speed": [1]}, batch_size=32)
    past_run("none_yet", {})
    (past_run("cut") / "run.json").write_text('{"format": 2, "spec": {"loss"')
    (past_run("hostile") / "run.json").write_text(json.dumps({"format": [], "spec": 3, "components": "x\x1b[31m"}))
    (past_run("deep") / "run.json").write_text("[" * 100_000)
    Path("empty").mkdir()
    Path("empty.png").mkdir()
    before = sorted(Path.cwd().rglob("*"))
    outcome = lossreg_command("plot", *line.split())
    assert (outcome.code, outcome.out) == (2, "")
    assert message in outcome.err
    assert "Traceback" not in outcome.err
    assert sorted(Path.cwd().rglob("*")) == before


def test_rows_that_are_broken_are_left_out(past_run: PastRunMaker, lossreg_command: Command) -> None:
    """Lines of metrics.jsonl that are cut off or no rows cost a warning, and the others are drawn."""
    with (past_run("a") / "metrics.jsonl").open("a") as file:
        file.write('[]\n{"kind": "epoch", "epoch": 3, "st')
    outcome = lossreg_command("plot", "a")
    assert (outcome.code, outcome.out) == (0, "plot.png\n")
    assert "the last line of metrics.jsonl is cut off" in outcome.err


def test_matplotlib_that_is_missing_is_named(past_run: PastRunMaker, tmp_path: Path) -> None:
    """Without matplotlib one line says so, and what brings it."""
    past_run("a")
    hidden = "import sys; sys.modules['matplotlib'] = None; from lossreg.cli.main import main; main(['plot', 'a'])"
    done = subprocess.run([sys.executable, "-c", hidden], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr.count("\n") == 1
    assert "pictures need matplotlib" in done.stderr
    assert "pip install matplotlib" in done.stderr


def test_plot_needs_no_torch(past_run: PastRunMaker, tmp_path: Path) -> None:
    """Past runs are drawn without importing torch, nor pyplot with its windows."""
    past_run("a")
    code = (
        "import sys; from lossreg.cli.main import main\n"
        "try: main(['plot', 'a'])\n"
        "except SystemExit as end: print(end.code, 'torch' in sys.modules, 'matplotlib.pyplot' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.stdout == "plot.png\n0 False False\n"


def test_help_and_run_parts_need_no_matplotlib(cold: Mapping[str, Any]) -> None:
    """The command line, the runner and its setup are imported without matplotlib."""
    assert "matplotlib" not in cold["imported"]
