"""Pictures, pages and comparisons find the same runs, name them alike, and refuse the same with the same text."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import lossreg
from lossreg.past_runs.cells import cells_of
from lossreg.past_runs.compare_json import read_labels
from lossreg.past_runs.metrics import direction, judging_metric
from lossreg.past_runs.sources import read_sources
from lossreg.pictures.overlay import overlay_figure
from lossreg.reports.comparison import read_comparison
from lossreg.reports.page import render_page
from tests.lossreg.reports.test_page import Elements, table_of
from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.past_runs.conftest import PastRunMaker


def picture_labels(*places: Path) -> list[str]:
    """The names at the curves of the picture of these directories."""
    source = read_sources(places)
    figure = overlay_figure(source.runs, None, "epoch", labels=read_labels(source.folders))
    texts = [text.get_text() for text in figure.axes[0].texts]
    below = [text.get_text().partition(": ")[2] for text in figure.texts if text.get_text()[:1].isdigit()]
    return sorted(below or texts)


def page_labels(*places: Path) -> list[str]:
    """The names of the cells of the page of these directories."""
    source = read_sources(places)
    comparisons = [found for folder in source.folders if (found := read_comparison(folder))]
    elements = Elements(render_page(source, comparisons, made=datetime(2026, 1, 2)))
    return sorted(row[0] for row in table_of(elements, "Results")[1:])


@for_each_apart("line", ["nonsense", "file", "empty", "cut", "hostile", "all", "a none", "a/metrics.jsonl"])
def test_the_same_mistake_has_the_same_message(past_run: PastRunMaker, lossreg_command: Command, line: str) -> None:
    """`lossreg plot X` and `lossreg report X` say the same of what is no run, with exit code 2."""
    past_run("a")
    Path("file").touch()
    Path("empty/inside").mkdir(parents=True)
    (past_run("cut") / "run.json").write_text('{"format": 2, "spec"')
    (past_run("hostile") / "run.json").write_text('{"format": [], "spec": 3}')
    for name in ("all/a", "all/b"):
        (past_run(name) / "run.json").write_text("{")
    plot, report = (lossreg_command(command, *line.split()) for command in ("plot", "report"))
    assert (plot.code, plot.out, plot.err) == (report.code, report.out, report.err)
    assert plot.code == 2
    assert plot.err.startswith("lossreg: error: ")
    assert plot.err.count("\n") == 1


def test_an_empty_name_has_the_same_message(past_run: PastRunMaker, lossreg_command: Command) -> None:
    """As a shell gives it for a variable that is not set."""
    past_run("a")
    plot, report = (lossreg_command(command, "a", "") for command in ("plot", "report"))
    assert (plot.code, plot.err) == (report.code, report.err)
    assert plot.err == "lossreg: error: RUN is empty; name a run directory\n"


@for_each_apart("name", ["", "none/x", "folder", "/proc/x", "/dev/null/x", "pipe", "file/x"])
def test_a_file_that_cannot_be_written_has_the_same_message(
    past_run: PastRunMaker, lossreg_command: Command, name: str
) -> None:
    """A missing folder, a directory, a pipe, a system without such files: one line, and nothing is left."""
    import os

    past_run("a")
    Path("file").touch()
    for ending in ("png", "html"):
        Path(f"folder.{ending}").mkdir()
        os.mkfifo(f"pipe.{ending}")
    before = sorted(Path.cwd().rglob("*"))
    ends = {"plot": ".png", "report": ".html"} if name else {"plot": "", "report": ""}
    said = []
    for command, ending in ends.items():
        outcome = lossreg_command(command, "a", "--out", f"{name}{ending}")
        assert (outcome.code, outcome.out) == (2, "")
        said.append(outcome.err.replace(ending, "") if ending else outcome.err)
    assert said[0] == said[1]
    assert said[0].count("\n") == 1
    assert sorted(Path.cwd().rglob("*")) == before


def test_a_broken_run_in_a_folder_has_the_same_warning(past_run: PastRunMaker, lossreg_command: Command) -> None:
    """Both leave it out, and say so in one line."""
    past_run("all/a")
    (past_run("all/b") / "run.json").write_text("{")
    plot, report = (lossreg_command(command, "all") for command in ("plot", "report"))
    assert plot.code == report.code == 0
    assert plot.err == report.err
    assert plot.err.startswith("lossreg: warning: all/b/run.json is not a whole run.json")
    assert plot.err.endswith("; this run is left out\n")


def test_a_page_and_a_picture_have_the_same_labels(past_run: PastRunMaker) -> None:
    """Parameters, components that one run lacks, repeats of a run, and plugins with equal names."""
    places = [
        past_run("a", loss="x.dice", optimizer="builtin.sgd(lr=0.1)"),
        past_run("b", loss="y.dice", optimizer="builtin.sgd(lr=0.2)"),
        past_run("c", loss="x.dice", scheduler="builtin.cosine"),
        past_run("d", loss="x.dice", scheduler="builtin.cosine"),
    ]
    assert page_labels(*places) == picture_labels(*places) == [
        "x.dice, sgd(lr=0.1), cosine, c",
        "x.dice, sgd(lr=0.1), cosine, d",
        "x.dice, sgd(lr=0.1), no scheduler",
        "y.dice, sgd(lr=0.2), no scheduler",
    ]  # fmt: skip


def test_repeats_of_a_run_do_not_count_as_seeds(past_run: PastRunMaker) -> None:
    """Two runs of one seed are two cells: the deviation of a cell is that over seeds."""
    cells = cells_of(read_sources([past_run("a"), past_run("b")]).runs)
    assert [(cell.label, cell.differing, cell.seeds) for cell in cells] == [
        ("a", {"directory": "a"}, ["0"]),
        ("b", {"directory": "b"}, ["0"]),
    ]


def test_a_run_without_metrics_does_not_change_the_labels(past_run: PastRunMaker) -> None:
    """What a picture cannot draw is on the page, and the others have the same names in both."""
    places = [past_run("a", loss="x.dice"), past_run("b", {}, loss="x.l1")]
    assert picture_labels(*places) == ["dice"]
    assert page_labels(*places) == ["dice", "l1"]


def test_what_compare_writes_plot_and_report_read(lossreg_command: Command, tmp_path: Path) -> None:
    """The labels of the comparison are those of the picture and of the page, with compare.json and without."""
    out = tmp_path / "compared"
    comparison = lossreg.compare(
        optimizer=["sgd(lr=0.1)", "sgd(lr=0.2)", "adam"], model="mlp", epochs=1, limit_train=64, limit_test=32,
        seeds=1, out=out,
    )  # fmt: skip
    labels = sorted(cell.label for cell in comparison.cells)
    assert [label.partition("(")[0] for label in labels] == ["adam", "sgd", "sgd"]
    for command, name in (("plot", "picture.png"), ("report", "page.html")):
        outcome = lossreg_command(command, str(out), "--out", str(tmp_path / name))
        assert (outcome.code, outcome.err) == (0, "")
    assert page_labels(out) == picture_labels(out) == labels
    assert comparison.verdict.sentence in (tmp_path / "page.html").read_text()
    (out / "compare.json").unlink()
    assert page_labels(out) == picture_labels(out) == labels


def test_a_label_of_a_comparison_is_in_the_picture(past_run: PastRunMaker) -> None:
    """Whatever compare.json calls the cells."""
    past_run("both/one", loss="x.dice")
    past_run("both/two", loss="x.l1")
    cells = [{"label": f"the {name}", "runs": [{"directory": name}]} for name in ("one", "two")]
    Path("both/compare.json").write_text(json.dumps({"format": 1, "cells": cells}))
    assert picture_labels(Path("both")) == page_labels(Path("both")) == ["the one", "the two"]


@for_each_apart("text", ["{", "[]", '{"format": 2, "cells": []}', '{"format": 1, "cells": 3}', "[" * 100_000])
def test_a_broken_comparison_costs_a_picture_its_labels_alone(
    past_run: PastRunMaker, lossreg_command: Command, text: str
) -> None:
    """The runs are drawn, and a warning says what is wrong."""
    past_run("both/one", loss="x.dice")
    past_run("both/two", loss="x.l1")
    Path("both/compare.json").write_text(text)
    outcome = lossreg_command("plot", "both")
    assert (outcome.code, outcome.out) == (0, "plot.png\n")
    assert outcome.err.startswith("lossreg: warning: both/compare.json is not a ")
    assert outcome.err.endswith("; its labels are left out\n")


def test_the_direction_of_a_metric() -> None:
    """More accuracy is better on any split, less of a loss or an error; of others it is not known."""
    metrics = (
        "test_accuracy",
        "train_accuracy_after",
        "validation_loss",
        "test_mean_absolute_error",
        "test_speed",
        "lr",
    )
    assert [*map(direction, metrics)] == ["greater", "greater", "smaller", "smaller", None, None]


def test_runs_are_judged_by_a_metric_with_a_direction() -> None:
    """A loss before a number of which it is not known what is better."""
    assert judging_metric(["test_speed", "train_loss", "lr"]) == "train_loss"
    assert judging_metric(["test_speed", "lr"]) is None
