"""Which runs belong together, what their names are, and the numbers of their curves."""

from __future__ import annotations

import statistics
from pathlib import Path

import pytest

from lossreg.past_runs.cells import cells_of
from lossreg.past_runs.metrics import main_metric
from lossreg.past_runs.sources import read_sources
from lossreg.reports.amounts import Amount
from lossreg.reports.curves import Curve, charts_of, thinned
from tests.lossreg.reports.conftest import WriteRun
from tests.table import for_each


def test_runs_that_differ_in_their_seed_are_one_cell(grid: Path) -> None:
    """Six runs of two losses are two cells, named by the loss, with their seeds in order."""
    cells = cells_of(read_sources([grid]).runs)
    assert [(cell.label, cell.seeds) for cell in cells] == [("dice", ["0", "1", "2"]), ("l1", ["0", "1", "2"])]


def test_a_cell_that_is_alone_has_the_names_of_its_parts(write_run: WriteRun) -> None:
    """Where nothing differs, the loss and the optimizer say what it is."""
    (cell,) = cells_of(read_sources([write_run("run", loss="builtin.dice(smooth=1)")]).runs)
    assert cell.label == "dice(smooth=1), sgd"


def test_equal_names_of_two_plugins_are_told_apart(write_run: WriteRun) -> None:
    """`dice` of two plugins is named by its full ids."""
    runs = read_sources([write_run("a", loss="builtin.dice"), write_run("b", loss="acme.dice")]).runs
    assert [cell.label for cell in cells_of(runs)] == ["builtin.dice", "acme.dice"]


def test_settings_have_their_names(write_run: WriteRun) -> None:
    """A setting that is no component is written with its name, and `no scheduler` says that there is none."""
    runs = read_sources([write_run("a", batch_size=32, scheduler="builtin.cosine"), write_run("b", batch_size=64)]).runs
    assert [cell.label for cell in cells_of(runs)] == ["cosine, batch_size=32", "no scheduler, batch_size=64"]


def test_objects_are_cells_of_their_own(write_run: WriteRun) -> None:
    """A Python object in the place of a component is told apart from another class."""
    places = [write_run(name, model=None, record={"objects": {"model": f"mine.{name}"}}) for name in ("Net", "Other")]
    assert [cell.label for cell in cells_of(read_sources(places).runs)] == ["Net", "Other"]


@for_each("values", [[0.1, 0.2, 0.4], [1e-9, 1e9], [1e200, -1e200, 0.0], [5.0, 5.0]])
def test_amounts_are_those_of_the_standard_library(values: list[float]) -> None:
    """Mean and standard deviation of a sample, without overflow."""
    amount = Amount.of(values)
    assert amount is not None
    assert amount.mean == pytest.approx(statistics.mean(values))
    assert amount.deviation == pytest.approx(statistics.stdev(values))


def test_one_value_has_no_deviation() -> None:
    """A single run tells nothing of chance."""
    assert Amount.of([0.5, None, "text"]) == Amount(0.5, None, 1)
    assert Amount.of([None]) is None


def test_a_curve_is_the_mean_over_the_seeds(grid: Path) -> None:
    """Each point with its standard deviation and number of runs; seconds are those of training so far."""
    chart = charts_of(cells_of(read_sources([grid]).runs))[0]
    assert (chart.name, chart.axes, chart.better) == ("test_accuracy", ("epoch", "step", "seconds"), "greater")
    dice = chart.curves[0]
    assert dice.y == [0.25, 0.625]
    assert dice.deviations == [0.0, pytest.approx(statistics.stdev([0.5, 0.625, 0.75]))]
    assert dice.counts == [3, 3]
    assert dice.x == {"epoch": [0, 1], "step": [10, 20], "seconds": [2, 4]}


def test_runs_that_ended_early_count_as_far_as_they_came(write_run: WriteRun) -> None:
    """Behind the end of a shorter run the curve is that of the longer one, and says of how many runs it is."""
    places = [write_run("a", [0.5, 0.75], seed=0), write_run("b", [0.25], seed=1, epochs=2)]
    charts = charts_of(cells_of(read_sources(places).runs))
    (curve,) = [one for chart in charts for one in chart.curves if one.name == "test_accuracy"]
    assert (curve.y, curve.counts) == ([0.375, 0.75], [2, 1])
    assert curve.x["seconds"] == [2, 4]


def test_logged_steps_are_charts_of_their_own(write_run: WriteRun) -> None:
    """Their rows have no seconds, so steps are their only axis."""
    rows = [{"kind": "step", "epoch": 0, "step": step, "train_loss": 1 / step} for step in (1, 2, 4)]
    (chart,) = charts_of(cells_of(read_sources([write_run("a", rows=rows)]).runs))
    assert (chart.name, chart.axes) == ("train_loss (each logged step)", ("step",))
    assert (chart.curves[0].x["step"], chart.curves[0].y) == ([1, 2, 4], [1, 0.5, 0.25])


def test_different_losses_are_said_to_be_on_different_scales(grid: Path) -> None:
    """A chart of losses has a note if the cells have different losses; one of accuracies has none."""
    notes = {chart.name: chart.note for chart in charts_of(cells_of(read_sources([grid]).runs))}
    assert "different scales" in notes["test_loss"]
    assert "different scales" in notes["train_loss"]
    assert notes["test_accuracy"] == notes["lr"] == ""


def test_a_page_begins_with_the_metric_to_judge_by() -> None:
    """Validation before test before training, a metric before the loss, and what most cells have before all."""
    metrics = ["lr", "train_accuracy", "test_accuracy", "validation_loss", "validation_accuracy"]
    assert main_metric([metrics]) == "validation_accuracy"
    assert main_metric([["test_accuracy", "train_loss"], ["train_loss"]]) == "train_loss"
    assert main_metric([[]]) is None


def test_thinning_keeps_ends_and_extremes() -> None:
    """Of 10,000 points no more than 400 stay; the ends, the lowest and the highest are among them, in their places."""
    y: list[float | None] = [float(index % 97) for index in range(10_000)]
    y[1234], y[7777] = -5.0, 500.0
    x = [float(index) for index in range(10_000)]
    thin = thinned(Curve(0, "", {"step": x}, y, [], [1] * 10_000), 400)
    points = dict(zip(thin.x["step"], thin.y, strict=True))
    assert len(points) <= 400
    assert {0.0: 0.0, 9999.0: y[9999], 1234.0: -5.0, 7777.0: 500.0}.items() <= points.items()
    assert all(y[int(place)] == value for place, value in points.items())


def test_thinning_keeps_gaps() -> None:
    """A stretch without any number stays a gap."""
    y: list[float | None] = [1.0] * 400 + [None] * 200 + [1.0] * 400
    x = [float(index) for index in range(1000)]
    assert None in thinned(Curve(0, "", {"step": x}, y, [], [1] * 1000), 100).y


def test_a_folder_is_read_in_the_order_of_its_numbers(write_run: WriteRun) -> None:
    """9 comes before 10, and a folder within the folder is looked into."""
    places = [write_run(f"all/{name}") for name in ("run-10", "run-9", "more/run-1")]
    found = [run.directory for run in read_sources([places[0].parent]).runs]
    assert found == [places[2], places[1], places[0]]


def test_a_run_that_is_named_twice_counts_once(write_run: WriteRun) -> None:
    """By its directory, by its run.json, and as one of a folder."""
    run = write_run("all/run")
    assert len(read_sources([run, run / "run.json", run.parent]).runs) == 1
