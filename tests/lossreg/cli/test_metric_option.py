"""`--metric`: the option, the key of a file, the repeat of a run, what past runs tell, and completion."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg
from lossreg.past_runs.cells import cells_of
from lossreg.past_runs.metrics import directions_of
from lossreg.reports.curves import charts_of
from lossreg.training.record.reading import read_run, read_summary

if TYPE_CHECKING:
    from tests.conftest import Command, Outcome
    from tests.lossreg.cli.conftest import Ask

SMALL = ("--data", "diabetes", "--limit-train", "64", "--limit-test", "16", "--epochs", "1", "--quiet")
ERRORS = """
import lossreg

class Errors:
    def reset(self):
        self.total = 0.0

    def update(self, input, target):
        self.total += float((input - target).abs().sum())

    def compute(self):
        return self.total

lossreg.metrics.register("errors", better="lower", target="dense")(Errors)
lossreg.metrics.register("gain", better="higher", target="dense")(Errors)
"""


@pytest.fixture
def run(lossreg_command: Command, tmp_path: Path) -> Callable[..., Outcome]:
    """A small run with a file that registers the metrics `errors` and `gain`."""
    (tmp_path / "errors_of_a_test.py").write_text(ERRORS)
    return lambda *options: lossreg_command("run", *SMALL, *options)


def record(folder: str) -> Any:
    """The run.json of a directory."""
    return json.loads(Path(folder, "run.json").read_text())


def test_metrics_come_from_options_files_and_past_runs(run: Callable[..., Outcome], lossreg_command: Command) -> None:
    """An option replaces what a file says, `none` empties it, a repeat and `eval` measure the same again."""
    Path("list.toml").write_text('metrics = ["rmse", "mean_squared_error"]')
    assert run("-c", "list.toml", "--out", "a").code == 0
    assert record("a")["spec"]["metrics"] == ["builtin.root_mean_squared_error", "builtin.mean_squared_error"]
    assert run("-c", "list.toml", "--metric", "mae", "--out", "b").code == 0
    assert record("b")["spec"]["metrics"] == ["builtin.mean_absolute_error"]
    assert run("-c", "list.toml", "--metric", "none", "--out", "c").code == 0
    assert record("c")["measures"] == {}
    assert run("-c", "a/run.json", "--out", "d").code == 0
    first, again = record("a")["metrics"], record("d")["metrics"]
    assert {name: again[name] for name in again if name.startswith("test_")} == {
        name: first[name] for name in first if name.startswith("test_")
    }
    outcome = lossreg_command("eval", "a", "--json")
    assert outcome.code == 0, outcome.err
    evaluated = json.loads(outcome.out)["metrics"]
    assert evaluated["test_root_mean_squared_error"] == pytest.approx(first["test_root_mean_squared_error"])
    where = lossreg_command("runs", ".", "--where", "test_mean_squared_error>0", "--json")
    assert {Path(row["directory"]).name for row in json.loads(where.out)} == {"a", "d"}


def test_past_runs_know_which_values_are_better(run: Callable[..., Outcome]) -> None:
    """run.json says it, so that no plugin is needed to read it: of a chart, and of what judges a run."""
    loaded = lossreg.load_registries(allow=[], local=["errors_of_a_test.py"])
    for name in ("first", "second"):
        lossreg.run(
            data="diabetes", limit_train=32, limit_test=8, epochs=1, metrics=["errors", "gain"], registries=loaded,
            quiet=True, device="cpu", out=name, seed=len(name),
        )  # fmt: skip
    runs = [read_run("first"), read_run("second")]
    assert directions_of(runs) == {"errors": "lower", "gain": "higher"} == read_summary("first").directions
    better = {chart.name: chart.better for chart in charts_of(cells_of(runs))}
    assert (better["errors"], better["gain"], better["mean_absolute_error"]) == ("smaller", "greater", "smaller")


@pytest.mark.parametrize(
    "measures", [None, [], {"errors": None}, {"errors": {"better": 3}}, {"errors": {}}, {"errors": {"better": "more"}}]
)
def test_what_run_json_does_not_tell_is_not_known(run: Callable[..., Outcome], measures: Any) -> None:
    """A table that was changed by hand makes no direction, and no error."""
    assert run("--metric", "rmse", "--out", "x").code == 0
    content = record("x")
    content["measures"] = measures
    Path("x", "run.json").write_text(json.dumps(content))
    assert set(read_run("x").directions.values()) <= {None}


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (("--metric", "rmes"), "no metric named 'rmes'. Did you mean 'rmse'?"),
        (("--metric", "rmse", "--metric", "root_mean_squared_error"), "is given twice"),
        (("--metric", "f1"), "f1 and data set diabetes do not fit: the metric takes class indices"),
        (("--metric.k", "5"), '--metric.k: there may be several metrics; write --metric "NAME(k=...)"'),
        (("--metrics", "rmse"), "No such option '--metrics'. Did you mean '--metric'"),
        (("--metric", "rmse(bins=3)"), "has no parameter 'bins'"),
    ],
)
def test_a_mistake_is_one_message(run: Callable[..., Outcome], options: tuple[str, ...], said: str) -> None:
    """With exit code 2, no traceback, and nothing written."""
    outcome = run(*options, "--out", "x")
    assert outcome.code == 2
    assert said in outcome.err
    assert "Traceback" not in outcome.err
    assert not Path("x").exists()


def test_a_removed_plugin_is_named(run: Callable[..., Outcome], lossreg_command: Command) -> None:
    """A repeat without the metric's origin says where it came from."""
    assert run("--metric", "rmse", "--out", "x").code == 0
    content = record("x")
    content["components"]["metric.1"]["id"] = "acme.errors"
    content["components"]["metric.1"] |= {"distribution": "acme", "version": "1.0", "file": None}
    content["spec"]["metrics"] = ["acme.errors"]
    Path("x", "run.json").write_text(json.dumps(content))
    outcome = lossreg_command("run", "-c", "x/run.json", "--out", "y")
    assert outcome.code == 2
    assert "its metric acme.errors is missing here; it came from acme 1.0" in outcome.err


def test_metrics_are_completed(ask: Ask) -> None:
    """Behind `--metric` the metrics are offered, and behind `show metric`."""
    assert "plain,f1" in ask("bash", ["lossreg", "run", "--metric", "f"]).splitlines()
    assert "plain,mean_iou" in ask("bash", ["lossreg", "show", "metric", "mean_i"]).splitlines()
