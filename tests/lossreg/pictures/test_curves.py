"""curves.png: losses, metrics and the rate of one run, made when the run is done, and never a reason for it to fail."""

from __future__ import annotations

import json
import logging
import signal
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

import lossreg
from lossreg.errors import RunFailedError
from lossreg.pictures.curves import curves_figure, draw_curves
from lossreg.training.record.reading import read_run

if TYPE_CHECKING:
    from matplotlib.axes import Axes

    from tests.conftest import Command
    from tests.lossreg.pictures.conftest import PastRunMaker

TINY = {"epochs": 1, "limit_train": 64, "limit_test": 32, "quiet": True, "log_every": 1, "batch_size": 32}
LINE = ["run", "--epochs", "1", "--limit-train", "64", "--limit-test", "32", "--quiet", "--out", "out"]


def drawn(panel: Axes) -> list[tuple[list[float], list[float]]]:
    """The curves of a panel."""
    lines = [line for line in panel.lines if line.get_transform() == panel.transData]
    return [(np.asarray(line.get_xdata()).tolist(), np.asarray(line.get_ydata()).tolist()) for line in lines]


def test_a_run_of_the_command_line_has_its_picture(drawing_command: Command) -> None:
    """curves.png is in the run directory, beside the files of the run, and nothing is said of it."""
    outcome = drawing_command(*LINE)
    assert (outcome.code, outcome.err) == (0, "")
    names = ["checkpoints", "curves.png", "metrics.jsonl", "model.safetensors", "run.json"]
    assert sorted(path.name for path in Path("out").iterdir()) == names
    assert Path("out/curves.png").read_bytes().startswith(b"\x89PNG")


def test_no_plots_is_none(drawing_command: Command) -> None:
    """--no-plots leaves it out."""
    assert drawing_command(*LINE, "--no-plots").code == 0
    assert not Path("out/curves.png").exists()


def test_a_run_from_python_has_one_if_asked(tmp_path: Path) -> None:
    """plots=True draws; the default does not."""
    assert (lossreg.run(out=tmp_path / "a", plots=True, **TINY).directory / "curves.png").is_file()  # type: ignore[arg-type]  # mixed values
    assert not (lossreg.run(out=tmp_path / "b", **TINY).directory / "curves.png").exists()  # type: ignore[arg-type]  # as above


def test_plots_is_true_or_false() -> None:
    """Another value is an error that names the argument."""
    with pytest.raises(lossreg.errors.ConfigError, match="plots is True or False, not 'yes'"):
        lossreg.run(plots="yes")  # type: ignore[arg-type]  # what is tried


def test_the_picture_comes_when_the_record_is_complete(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """When it is drawn, run.json says finished and the weights are there: drawing can take nothing away."""
    seen: list[Any] = []

    def look(_: object, file: Path, **__: object) -> None:
        record = json.loads((file.parent / "run.json").read_text())
        seen.append((record["status"], (file.parent / "model.safetensors").exists()))
        file.touch()

    monkeypatch.setattr("matplotlib.figure.Figure.savefig", look)
    lossreg.run(out=tmp_path / "a", plots=True, **TINY)  # type: ignore[arg-type]  # as above
    assert seen == [("finished", True)]


def test_a_failure_of_drawing_is_a_warning(
    past_run: PastRunMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Whatever matplotlib raises is one line; nothing is left of the picture."""

    def fail(*_: object, **__: object) -> None:
        raise ZeroDivisionError("in the renderer")

    folder = past_run("a")
    monkeypatch.setattr("matplotlib.figure.Figure.savefig", fail)
    with caplog.at_level(logging.WARNING, "lossreg"):
        draw_curves(folder)
    (record,) = caplog.records
    assert record.getMessage() == "a/curves.png could not be drawn: ZeroDivisionError: in the renderer"
    assert sorted(path.name for path in folder.iterdir()) == ["metrics.jsonl", "run.json"]


def test_a_run_without_matplotlib_is_silent(
    past_run: PastRunMaker, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where it is not installed there is no picture, and no word about it in each run."""
    folder = past_run("a")
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    draw_curves(folder)
    assert not (folder / "curves.png").exists()
    assert caplog.records == []


class Diverging(torch.nn.Module):
    """A loss that is no number from its fourth value on."""

    def __init__(self) -> None:
        super().__init__()
        self.left = 4

    def forward(self, output: torch.Tensor, target: torch.Tensor) -> torch.Tensor:
        """The cross-entropy, times infinity at the end."""
        self.left -= self.training
        return torch.nn.functional.cross_entropy(output, target) * (1 if self.left > 0 else torch.inf)


def test_a_run_that_failed_has_its_picture_too(tmp_path: Path) -> None:
    """What led to the failure is drawn; the error is that of the run."""
    with pytest.raises(RunFailedError, match="the training loss is inf"):
        lossreg.run(loss=Diverging(), out=tmp_path / "a", plots=True, **{**TINY, "epochs": 9})  # type: ignore[arg-type]  # as above
    assert json.loads((tmp_path / "a/run.json").read_text())["status"] == "failed"
    assert (tmp_path / "a/curves.png").is_file()


class Interrupting:
    """An observer in whose epoch Ctrl-C is pressed."""

    def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
        """Presses it."""
        signal.raise_signal(signal.SIGINT)


def test_a_run_that_was_interrupted_has_none(tmp_path: Path) -> None:
    """Who presses Ctrl-C does not wait for a picture."""
    with pytest.raises(KeyboardInterrupt):
        lossreg.run(out=tmp_path / "a", plots=True, observers=[Interrupting()], **TINY)  # type: ignore[arg-type]  # as above
    assert not (tmp_path / "a/curves.png").exists()


def test_the_panels_are_loss_metric_and_rate(past_run: PastRunMaker) -> None:
    """Each panel has the columns of its kind, over epochs, named at their ends."""
    columns = {
        "lr": [0.1, 0.1, 0.05],
        "train_loss": [3.0, 2.0, 1.0],
        "test_loss": [3.5, 2.5, 1.5],
        "test_accuracy": [0.1, 0.5, 0.75],
        "samples_per_second": [1000.0, 1000.0, 1000.0],
    }
    loss, metric, rate = curves_figure(read_run(past_run("a", columns))).axes
    assert drawn(loss) == [([0, 1, 2], columns["train_loss"]), ([0, 1, 2], columns["test_loss"])]
    assert drawn(metric) == [([0, 1, 2], columns["test_accuracy"])]
    assert drawn(rate) == [([0, 1, 2], columns["lr"])]
    assert [panel.get_title(loc="left") for panel in (loss, metric, rate)] == ["loss", "accuracy", "learning rate"]
    assert sorted(text.get_text() for text in loss.texts) == ["test_loss", "train_loss"]
    assert loss.get_yscale() == "linear"
    assert rate.get_ylim()[0] == 0
    assert all(panel.get_legend() is None for panel in (loss, metric, rate))


def test_a_run_of_few_epochs_is_drawn_over_steps(past_run: PastRunMaker) -> None:
    """One epoch is one point; its logged steps are a curve."""
    steps = [{"kind": "step", "epoch": 0, "step": n, "lr": 0.1, "train_loss": 1 / n} for n in (2, 4, 6)]
    figure = curves_figure(read_run(past_run("a", {"train_loss": [0.5], "lr": [0.1]}, steps)))
    assert drawn(figure.axes[0]) == [([2, 4, 6], [1 / 2, 1 / 4, 1 / 6])]
    assert figure.axes[-1].get_xlabel() == "step"


def test_a_loss_of_a_wide_range_is_logarithmic(past_run: PastRunMaker) -> None:
    """More than two powers of ten are seen on a logarithmic scale alone."""
    figure = curves_figure(read_run(past_run("a", {"train_loss": [500.0, 2.0, 1.0]})))
    assert figure.axes[0].get_yscale() == "log"


def test_the_epoch_that_was_kept_is_marked(past_run: PastRunMaker) -> None:
    """With patience, each panel has a line at the best epoch, and the point of the test split is there."""
    columns = {"validation_loss": [3, 2, 2.5], "validation_accuracy": [0.1, 0.5, 0.4]}
    tested = {"kind": "test", "epoch": 1, "step": 20, "test_loss": 2.25, "test_accuracy": 0.45}
    figure = curves_figure(read_run(past_run("a", columns, [tested], facts={"best_epoch": 1})))
    loss, metric = figure.axes
    assert loss.get_title(loc="right") == "kept: epoch 1"
    assert all([1, 1] in [np.asarray(line.get_xdata()).tolist() for line in panel.lines] for panel in (loss, metric))
    assert ([1], [2.25]) in drawn(loss)
    assert ([1], [0.45]) in drawn(metric)
    assert "test_accuracy 0.45" in [text.get_text() for text in metric.texts]
