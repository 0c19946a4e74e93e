"""Several runs in one picture: what is drawn are the rows of metrics.jsonl."""

from __future__ import annotations

import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from lossreg.errors import ConfigError
from lossreg.past_runs.sources import read_sources
from lossreg.pictures.overlay import overlay_figure
from lossreg.pictures.style import COLOURS
from tests.table import for_each_apart

if TYPE_CHECKING:
    from matplotlib.figure import Figure

    from tests.lossreg.pictures.conftest import PastRunMaker


def overlay(*folders: Path, metric: str | None = None, axis: Any = "epoch", log: bool = False) -> Figure:
    """The picture of these runs."""
    return overlay_figure(read_sources(folders).runs, metric, axis, log=log)


def curves(figure: Figure) -> dict[str, tuple[list[float], list[float]]]:
    """Name -> x and y of each curve, by the colour that the name's sample of line has."""
    (panel,) = figure.axes
    drawn = [line for line in panel.lines if line.get_transform() == panel.transData]
    samples = [line for line in panel.lines if line.get_transform() == panel.transAxes and line.get_linewidth() >= 1]
    names = {sample.get_color(): text.get_text() for sample, text in zip(samples, panel.texts, strict=True)}
    return {
        names.get(line.get_color(), ""): (np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist())
        for line in drawn
    }


def test_curves_are_the_rows(past_run: PastRunMaker) -> None:
    """Each run's metric over its epochs, named by what differs; the metric is above the panel."""
    figure = overlay(
        past_run("a", {"test_accuracy": [0.1, 0.2, 0.3]}, loss="builtin.dice"),
        past_run("b", {"test_accuracy": [0.4, 0.5]}, loss="builtin.l1"),
    )
    assert curves(figure) == {"dice": ([0, 1, 2], [0.1, 0.2, 0.3]), "l1": ([0, 1], [0.4, 0.5])}
    assert (figure.axes[0].get_title(loc="left"), figure.axes[0].get_xlabel()) == ("test_accuracy", "epoch")
    assert figure.axes[0].get_legend() is None


@for_each_apart(
    ("axis", "x", "label"),
    [("epoch", [0, 1, 2], "epoch"), ("step", [10, 20, 30], "step"), ("seconds", [2, 4, 6], "seconds of training")],
)
def test_x_is_epochs_steps_or_seconds(past_run: PastRunMaker, axis: str, x: list[float], label: str) -> None:
    """Seconds of training add up over the epochs."""
    figure = overlay(past_run("a"), axis=axis)
    assert curves(figure)[""][0] == x
    assert figure.axes[0].get_xlabel() == label


def test_seeds_are_a_mean_and_a_range(past_run: PastRunMaker) -> None:
    """Runs that differ in the seed are one line, their mean, and a band from the least to the greatest value."""
    values = np.array([[0.1, 0.6, 0.7], [0.3, 0.4, 0.9], [0.2, 0.8, 0.8]])
    figure = overlay(*(past_run(f"s{n}", {"test_accuracy": [*row]}, seed=n) for n, row in enumerate(values)))
    ((_, heights),) = curves(figure).values()
    assert heights == pytest.approx(values.mean(axis=0))
    (band,) = figure.axes[0].collections
    vertices = np.asarray(band.get_paths()[0].vertices)
    assert set(vertices[:, 1].round(6).tolist()) == {*values.min(axis=0).round(6), *values.max(axis=0).round(6)}
    assert [text.get_text() for text in figure.texts] == ["line: mean of 3 seeds; band: their range"]


def test_a_mean_ends_where_the_first_seed_ends(past_run: PastRunMaker, caplog: pytest.LogCaptureFixture) -> None:
    """A mean over fewer seeds than before would jump; a warning says so."""
    with caplog.at_level(logging.WARNING, "lossreg"):
        figure = overlay(past_run("a", seed=0), past_run("b", {"test_accuracy": [0.5, 0.25]}, seed=1))
    assert curves(figure)[""] == ([0, 1], [0.5, 0.5])
    assert "of 2 seeds the curve ends where the first of them ends" in caplog.text


def test_a_number_that_is_not_finite_is_a_gap(past_run: PastRunMaker) -> None:
    """Null in metrics.jsonl interrupts the curve."""
    figure = overlay(past_run("a", {"test_loss": [1.0, None, 0.5]}), metric="test_loss")
    np.testing.assert_array_equal(curves(figure)[""][1], [1.0, np.nan, 0.5])


def test_accuracy_goes_before_loss_and_validation_before_test(past_run: PastRunMaker) -> None:
    """Without --metric it is what runs are compared by."""
    first = past_run("a", {"train_loss": [1], "test_loss": [1], "test_accuracy": [1]})
    second = past_run("b", {"train_loss": [1], "validation_loss": [1], "validation_accuracy": [1]})
    assert overlay(first).axes[0].get_title(loc="left") == "test_accuracy"
    assert overlay(second).axes[0].get_title(loc="left") == "validation_accuracy"


def test_a_column_of_steps_is_drawn_over_steps(past_run: PastRunMaker) -> None:
    """What is logged by steps alone has a curve over steps, and over epochs an error that says so."""
    steps = [{"kind": "step", "epoch": 0, "step": n, "gradient_norm": float(n)} for n in (2, 4, 6)]
    folder = past_run("a", more=steps)
    assert curves(overlay(folder, metric="gradient_norm", axis="step"))[""] == ([2, 4, 6], [2, 4, 6])
    with pytest.raises(ConfigError, match="gradient_norm is logged by steps, not by epochs, in a: write --x step"):
        overlay(folder, metric="gradient_norm")


def test_a_logarithmic_scale(past_run: PastRunMaker) -> None:
    """--log makes y logarithmic, with plain numbers at its ticks, also within one power of ten."""
    figure = overlay(past_run("a", {"test_loss": [5.0, 4.0, 3.0]}), metric="test_loss", log=True)
    figure.canvas.draw()
    numbers = [float(text.get_text()) for text in figure.axes[0].get_yticklabels()]
    assert figure.axes[0].get_yscale() == "log"
    assert sum(3 <= number <= 5 for number in numbers) >= 3


def test_losses_of_different_kinds_are_a_warning(past_run: PastRunMaker, caplog: pytest.LogCaptureFixture) -> None:
    """The value of one loss says nothing beside that of another."""
    with caplog.at_level(logging.WARNING, "lossreg"):
        overlay(
            past_run("a", {"test_loss": [1]}, loss="builtin.dice"),
            past_run("b", {"test_loss": [1]}, loss="builtin.l1"),
            metric="test_loss",
        )
    assert "test_loss is of different losses here, whose values cannot be compared" in caplog.text


def test_runs_below_a_directory_are_found(past_run: PastRunMaker) -> None:
    """A comparison's cells are drawn by naming its directory; a run that is named twice is drawn once."""
    past_run("cmp/cells/a", loss="builtin.dice")
    past_run("cmp/b", loss="builtin.l1")
    assert sorted(curves(overlay(Path("cmp"), Path("cmp/b"), Path("cmp/b/run.json")))) == ["dice", "l1"]


def test_a_broken_run_below_a_directory_is_left_out(past_run: PastRunMaker, caplog: pytest.LogCaptureFixture) -> None:
    """One cell that cannot be read costs a warning, not the picture."""
    past_run("cmp/a")
    (past_run("cmp/b") / "run.json").write_text('{"format": 2, "spec"')
    with caplog.at_level(logging.WARNING, "lossreg"):
        assert len(curves(overlay(Path("cmp")))) == 1
    assert "run.json is not a whole run.json" in caplog.text
    assert "this run is left out" in caplog.text


def test_a_run_without_metrics_is_left_out(past_run: PastRunMaker, caplog: pytest.LogCaptureFixture) -> None:
    """A run that failed before its first epoch has no curve; the warning says why."""
    failed = past_run("b", {}, facts={"status": "failed", "reason": "the loss is not finite"})
    with caplog.at_level(logging.WARNING, "lossreg"):
        assert len(curves(overlay(past_run("a"), failed))) == 1
    assert "b has no metrics (failed: the loss is not finite) and is left out" in caplog.text


def test_names_that_are_cut_to_the_same_are_told_below(past_run: PastRunMaker) -> None:
    """Labels that differ only in their middle become numbers, with the whole labels below the picture."""
    names = [f"x.f(text='{'a' * 30}{n}{'b' * 30}')" for n in range(2)]
    figure = overlay(*(past_run(f"r{n}", loss=name) for n, name in enumerate(names)))
    assert [text.get_text() for text in figure.axes[0].texts] == ["1", "2"]
    below = [text.get_text() for text in figure.texts]
    assert [text[:3] for text in below] == ["1: ", "2: "]
    assert below[0][3:] != below[1][3:]


def test_too_many_curves_are_refused(past_run: PastRunMaker) -> None:
    """More curves than can be told apart are an error."""
    runs = [past_run(f"r{n}", batch_size=n) for n in range(29)]
    with pytest.raises(ConfigError, match="these runs make 29 curves, but no more than 28 can be told apart"):
        overlay(*runs)


def test_the_first_curves_have_different_colours(past_run: PastRunMaker) -> None:
    """Seven runs have the seven colours."""
    figure = overlay(*(past_run(f"r{n}", batch_size=n + 1) for n in range(7)))
    assert {line.get_color() for line in figure.axes[0].lines} == set(COLOURS)


@pytest.mark.parametrize("metric", [r"a$\frac{1}$", "\x1b[31mred\x1b[0m", "x" * 500, "損失_loss", "<svg onload='x'>"])
def test_hostile_names_are_only_text(past_run: PastRunMaker, tmp_path: Path, metric: str) -> None:
    """A name from a file is drawn as it is, without TeX and control characters, in every format."""
    runs = [past_run(f"r{n}", {metric: [1, 2]}, loss=metric, optimizer=f"x.y(a='{n}$^{{')") for n in range(2)]
    from lossreg.pictures.series import metrics_of
    from lossreg.pictures.style import write_picture

    found = read_sources(runs).runs
    figure = overlay_figure(found, metrics_of(found[0])[0], "epoch")
    for ending in ("png", "svg", "pdf"):
        write_picture(figure, tmp_path / f"picture.{ending}")
    assert b"<svg onload" not in (tmp_path / "picture.svg").read_bytes()


@pytest.mark.parametrize("values", [[1e299, -1e299, 0], [1e-300, 1e-299, 0], [0, 0, 0], [-1, -2, -3], [5]])
@pytest.mark.parametrize("axis", ["epoch", "seconds"])
def test_any_numbers_can_be_drawn(past_run: PastRunMaker, tmp_path: Path, values: list[float], axis: str) -> None:
    """Huge, tiny, equal and negative numbers make a picture."""
    from lossreg.pictures.style import write_picture

    write_picture(overlay(past_run("a", {"test_loss": values}), axis=axis), tmp_path / "a.png")
    assert (tmp_path / "a.png").stat().st_size > 5000


def test_nothing_above_zero_has_no_logarithm(past_run: PastRunMaker) -> None:
    """--log on what is never above 0 is an error."""
    with pytest.raises(ConfigError, match="test_loss is nowhere above 0, which --log would need: leave it out"):
        overlay(past_run("a", {"test_loss": [-1, -2]}), log=True)
