"""MLflow, read with its own client from a store of files."""

from __future__ import annotations

import contextlib
import logging
import socket
import time
from collections.abc import Callable
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

# Imported by the tests themselves, since that takes seconds and all workers of xdist collect this file.
pytestmark = pytest.mark.skipif(find_spec("mlflow") is None, reason="mlflow is not installed")

if TYPE_CHECKING:
    from tests.lossreg_observers.conftest import Curves, Observed


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A store of files, which MLflow is permitted to use."""
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    return (tmp_path / "store").as_uri()


def client_and_run(store: str, experiment: str = "lossreg") -> tuple[Any, Any]:
    """A client of a store, and the only run of an experiment in it."""
    mlflow: Any = import_module("mlflow")

    client = mlflow.MlflowClient(store)
    (run,) = client.search_runs([client.get_experiment_by_name(experiment).experiment_id])
    return client, run


def test_every_row_is_in_the_metrics(observed: Observed, curves: Curves, store: str) -> None:
    """The metrics have each number of each row, by the step of the optimizer."""
    result = observed(f"mlflow(tracking_uri={store!r})")
    client, run = client_and_run(store)
    expected = curves(result)
    assert run.data.metrics.keys() == expected.keys()
    for name, points in expected.items():
        history = sorted(client.get_metric_history(run.info.run_id, name), key=lambda metric: metric.step)
        assert [(metric.step, metric.value) for metric in history] == points


def test_params_name_and_tags_say_what_was_run(observed: Observed, store: str) -> None:
    """The params are the settings with all parameters; the run is named after its directory, which a tag holds."""
    result = observed(
        f"mlflow(tracking_uri={store!r}, experiment='mine', tags={{'team': 'red'}})", optimizer="sgd(lr=0.125)"
    )
    _, run = client_and_run(store, "mine")
    assert run.data.params["optimizer"] == "builtin.sgd(lr=0.125)"
    assert (run.data.params["optimizer.lr"], run.data.params["epochs"]) == ("0.125", "2")
    assert (run.info.run_name, run.data.tags["team"]) == (result.directory.name, "red")
    assert run.data.tags["lossreg.directory"] == str(result.directory)
    assert run.info.status == "FINISHED"


@pytest.mark.parametrize(
    ("error", "status"),
    [(ValueError("enough"), "FAILED"), (KeyboardInterrupt(), "KILLED"), (SystemExit(143), "KILLED")],
)
def test_the_status_is_how_the_run_ended(
    observed: Observed, failing: Callable[[BaseException], object], store: str, error: BaseException, status: str
) -> None:
    """An error is FAILED, and Ctrl-C or another signal is KILLED."""
    with pytest.raises(type(error)):
        observed(f"mlflow(tracking_uri={store!r})", observers=[failing(error)])
    assert client_and_run(store)[1].info.status == status


def test_the_files_of_the_run_can_be_kept(observed: Observed, store: str) -> None:
    """With `artifacts=True` all files of the run directory are artifacts of the run."""
    result = observed(f"mlflow(tracking_uri={store!r}, artifacts=True)")
    client, run = client_and_run(store)
    kept = {artifact.path for artifact in client.list_artifacts(run.info.run_id)}
    assert kept == {path.name for path in result.directory.iterdir()}


def test_what_the_program_tracks_itself_stays_apart(observed: Observed, store: str) -> None:
    """A run that is active in the program is neither used nor ended."""
    mlflow: Any = import_module("mlflow")

    mlflow.set_tracking_uri(store)
    with mlflow.start_run() as own:
        observed(f"mlflow(tracking_uri={store!r})")
        assert mlflow.active_run().info.run_id == own.info.run_id
    assert mlflow.get_run(own.info.run_id).data.metrics == {}
    mlflow.set_tracking_uri(None)


def test_a_store_that_is_not_permitted_is_refused(observed: Observed, tmp_path: Path) -> None:
    """Where MLflow would refuse a folder once the run has begun, it is an error before it."""
    mlflow: Any = import_module("mlflow")

    if not hasattr(mlflow.environment_variables, "MLFLOW_ALLOW_FILE_STORE"):
        pytest.skip("this MLflow writes into folders without a permission")
    with pytest.raises(lossreg.BuildError, match="MLFLOW_ALLOW_FILE_STORE=true; set it, or use a database"):
        observed(f"mlflow(tracking_uri={(tmp_path / 'store').as_uri()!r})")
    assert list(tmp_path.iterdir()) == []


def test_a_server_that_is_down_is_one_warning(
    observed: Observed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """A run whose server refuses connections ends well, with one warning."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as taken:
        port = taken.getsockname()[1]
    with caplog.at_level(logging.WARNING, logger="lossreg"):
        result = observed(f"mlflow(tracking_uri='http://127.0.0.1:{port}')")
    assert len(result.metrics) == 2
    (line,) = [record.getMessage() for record in caplog.records if record.name == "lossreg"]
    assert line.startswith("the observer observers.mlflow failed in lossreg_run_started and is left out of this run")


def test_a_server_that_does_not_answer_holds_up_no_step(
    observed: Observed, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """While the observer waits for an answer, the run trains to its end."""
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_TIMEOUT", "5")
    ended: list[float] = []

    class Clock:
        def lossreg_run_finished(self, run: lossreg.Run, result: lossreg.RunResult) -> None:
            ended.append(time.monotonic())
            silent.close()  # the answer of which is then a broken connection

    with contextlib.closing(socket.create_server(("127.0.0.1", 0))) as silent:
        port = silent.getsockname()[1]
        observed(f"mlflow(tracking_uri='http://127.0.0.1:{port}')", observers=[Clock()])
    assert len(ended) == 1
    assert [record.name for record in caplog.records if record.name == "lossreg"] == ["lossreg"]
