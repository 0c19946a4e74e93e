"""Event files, read with TensorBoard's own reader."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

pytest.importorskip("tensorboard")

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, plugin_data_pb2

if TYPE_CHECKING:
    from tests.lossreg_observers.conftest import Curves, Observed


def read(folder: Path) -> EventAccumulator:
    """All events in a folder."""
    events = EventAccumulator(str(folder), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    return events


def hparams(events: EventAccumulator, tag: str) -> Any:
    """What the tab HPARAMS gets under a tag."""
    content = events.SummaryMetadata(f"_hparams_/{tag}").plugin_data.content
    return plugin_data_pb2.HParamsPluginData.FromString(content)


def test_every_row_is_in_the_curves(observed: Observed, curves: Curves) -> None:
    """The curves have each number of each row, by the step of the optimizer, as float32 holds it."""
    result = observed("tensorboard")
    events = read(result.directory / "tensorboard")
    expected = curves(result)
    assert {"step/lr", "step/train_loss", "epoch/train_loss", "epoch/test_loss"} <= expected.keys()
    assert set(events.Tags()["scalars"]) == expected.keys()
    for tag, points in expected.items():
        seen = [(event.step, event.value) for event in events.Scalars(tag)]
        assert [step for step, _ in seen] == [step for step, _ in points]
        assert [value for _, value in seen] == pytest.approx([value for _, value in points], rel=1e-6)


def test_the_test_split_has_curves_of_its_own(observed: Observed) -> None:
    """With a validation split the row of the test split, which is read once, is there with the last step."""
    result = observed("tensorboard", validate=0.25)
    (event,) = read(result.directory / "tensorboard").Scalars("test/test_loss")
    assert result.tested is not None
    assert event.value == pytest.approx(result.tested["test_loss"], rel=1e-6)


def test_the_settings_are_a_text(observed: Observed) -> None:
    """The text has a row for each setting and each parameter."""
    result = observed("tensorboard", optimizer="sgd(lr=0.125)")
    (text,) = read(result.directory / "tensorboard").Tensors("settings/text_summary")
    lines = text.tensor_proto.string_val[0].decode().splitlines()
    assert {"| epochs | 2 |", "| optimizer | builtin.sgd(lr=0.125) |", "| optimizer.lr | 0.125 |"} <= set(lines)


def test_the_run_is_a_row_of_hparams(observed: Observed) -> None:
    """The tab HPARAMS gets the settings, the metrics of the epochs, and that the run ended well."""
    result = observed("tensorboard", optimizer="sgd(lr=0.125)")
    events = read(result.directory / "tensorboard")
    values = hparams(events, "session_start_info").session_start_info.hparams
    assert (values["optimizer.lr"].number_value, values["seed"].number_value) == (0.125, 0.0)
    metrics = {info.name.tag for info in hparams(events, "experiment").experiment.metric_infos}
    assert {"epoch/train_loss", "epoch/test_loss"} <= metrics <= set(events.Tags()["scalars"])
    status = hparams(events, "session_end_info").session_end_info.status
    assert status == api_pb2.Status.Value("STATUS_SUCCESS")


def test_a_run_that_fails_is_marked_so(
    observed: Observed, failing: Callable[[BaseException], object], tmp_path: Path
) -> None:
    """What there is up to the error is in the file, with a status of its own."""
    with pytest.raises(ValueError, match="enough"):
        observed("tensorboard", observers=[failing(ValueError("enough"))])
    events = read(tmp_path / "out" / "tensorboard")
    status = hparams(events, "session_end_info").session_end_info.status
    assert status == api_pb2.Status.Value("STATUS_FAILURE")
    assert [event.step for event in events.Scalars("step/train_loss")] == [1, 2]


def test_a_folder_of_many_runs(observed: Observed, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`directory` is a folder in which each run has one of its own, named after its run directory."""
    monkeypatch.chdir(tmp_path)
    for name in ("one", "two"):
        observed("tensorboard(directory='tb')", out=name)
    assert sorted(path.name for path in (tmp_path / "tb").iterdir()) == ["one", "two"]
    assert not (tmp_path / "one" / "tensorboard").exists()


def test_an_empty_directory_is_refused(observed: Observed, tmp_path: Path) -> None:
    """An empty text names no folder."""
    with pytest.raises(lossreg.BuildError, match="directory is empty"):
        observed("tensorboard(directory='')")
    assert list(tmp_path.iterdir()) == []
