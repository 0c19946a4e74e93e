"""MLflow: a run of an experiment."""

from __future__ import annotations

import importlib.util
import itertools
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, TypeVar

import lossreg as lr
from lossreg_observers.common import how_it_failed, load_library, numbers

T = TypeVar("T")

MAX_PARAMS = 100  # in one request, by MLflow's own limit
MAX_LENGTH = 6000  # characters of a parameter's value; stores refuse longer ones


class MLflow:
    """Keeps a run in MLflow: settings as params, rows as metrics by step, and how it ended.

    It talks to MLflow through a client of its own: what the program itself tracks with `mlflow.start_run()` stays
    apart. Metrics are `step/...` for the logged steps and `epoch/...` for the epochs. The run ends as FINISHED, FAILED,
    or KILLED (by a signal). A run that is killed without a word stays RUNNING.

    Args:
        tracking_uri: A server (`http://...`), a database (`sqlite:///mlflow.db`), or a folder, which MLflow takes only
            with MLFLOW_ALLOW_FILE_STORE=true in the environment. None is MLflow's own choice (MLFLOW_TRACKING_URI).
        experiment: The experiment's name; it is created if there is none.
        name: The run's name; None is that of the run directory.
        tags: Further tags, beside `lossreg.directory` and `lossreg.version`.
        artifacts: Whether all files of the run directory are kept as artifacts when the run ends.

    Raises:
        MissingLibraryError: If mlflow, or what the store needs, is not installed.
        ValueError: If MLflow does not take the store.

    Source:
        https://mlflow.org/docs/latest/ml/tracking/
    """

    def __init__(
        self,
        tracking_uri: str | None = None,
        experiment: str = "lossreg",
        name: str | None = None,
        tags: Mapping[str, str] = {},
        artifacts: bool = False,
    ) -> None:
        self._mlflow = load_library("mlflow", "mlflow")
        self._entities = load_library("mlflow.entities", "mlflow")
        self._uri = tracking_uri or self._mlflow.get_tracking_uri()
        self._experiment = experiment
        self._name = name
        self._tags = {str(key): str(value) for key, value in tags.items()}
        self._artifacts = artifacts
        self._client: Any = None
        self._run_id = ""
        self._check_store()

    def _check_store(self) -> None:
        """Finds now what MLflow would find when the run has begun."""
        scheme = self._uri.partition(":")[0] if "://" in self._uri or self._uri.startswith("file:") else "file"
        if scheme.partition("+")[0] in ("sqlite", "postgresql", "mysql", "mssql"):
            if importlib.util.find_spec("sqlalchemy") is None:
                raise lr.MissingLibraryError(
                    f"the observer mlflow needs sqlalchemy for the store {self._uri!r}, which mlflow-skinny does not "
                    "bring along: pip install 'lossreg[mlflow]', or name a server by tracking_uri",
                    library="sqlalchemy",
                )
        elif scheme == "file":
            settings = load_library("mlflow.environment_variables", "mlflow")
            allowed = getattr(settings, "MLFLOW_ALLOW_FILE_STORE", None)  # older versions need no permission
            if allowed is not None and not allowed.get():
                raise ValueError(
                    f"MLflow {self._mlflow.__version__} writes into a folder ({self._uri!r}) only if the environment "
                    "has MLFLOW_ALLOW_FILE_STORE=true; set it, or use a database, such as "
                    "tracking_uri='sqlite:///mlflow.db', or a server"
                )

    def lossreg_run_started(self, run: lr.Run) -> None:
        """Creates the run with its params and tags."""
        self._client = self._mlflow.MlflowClient(self._uri)
        experiment = self._client.get_experiment_by_name(self._experiment)
        number = self._client.create_experiment(self._experiment) if experiment is None else experiment.experiment_id
        tags = {"lossreg.directory": str(run.directory), "lossreg.version": lr.__version__, **self._tags}
        created = self._client.create_run(number, run_name=self._name or run.directory.name, tags=tags)
        self._run_id = created.info.run_id
        params = [self._entities.Param(key, str(value)[:MAX_LENGTH]) for key, value in run.settings.items()]
        for batch in _batches(params, MAX_PARAMS):
            self._client.log_batch(self._run_id, params=batch)

    def lossreg_logged(self, run: lr.Run, record: Mapping[str, Any]) -> None:
        """Adds the metrics of a step."""
        self._add(record)

    def lossreg_epoch_finished(self, run: lr.Run, record: Mapping[str, Any]) -> None:
        """Adds the metrics of an epoch."""
        self._add(record)

    def lossreg_run_finished(self, run: lr.Run, result: lr.RunResult) -> None:
        """Adds the metrics of the test split if they are apart, and ends the run."""
        if result.tested is not None:
            self._add(result.tested)
        self._end(run, "FINISHED")

    def lossreg_run_failed(self, run: lr.Run, error: BaseException) -> None:
        """Ends the run."""
        self._end(run, "FAILED" if how_it_failed(error) is None else "KILLED")

    def _add(self, record: Mapping[str, Any]) -> None:
        now = int(time.time() * 1000)
        metrics = [self._entities.Metric(name, value, now, record["step"]) for name, value in numbers(record).items()]
        self._client.log_batch(self._run_id, metrics=metrics)

    def _end(self, run: lr.Run, status: str) -> None:
        if self._artifacts:
            self._client.log_artifacts(self._run_id, str(run.directory))
        self._client.set_terminated(self._run_id, status)


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    waiting = iter(items)
    while batch := list(itertools.islice(waiting, size)):
        yield batch
