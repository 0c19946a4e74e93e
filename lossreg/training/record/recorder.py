"""Keeps the run directory: run.json, metrics.jsonl, and the weights of the model and of a loss that is trained."""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import attrs
from torch import Tensor

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.checkpoints.weights_file import write_weights
from lossreg.errors import CheckpointError, RunFailedError, StateError, describe_error
from lossreg.training.hardware.launcher import launch_id
from lossreg.training.not_finite import are_finite
from lossreg.training.record.directory import CHECKPOINTS, RunDirectory, replacing, why_not_written
from lossreg.training.record.metrics_file import METRICS, MetricsFile
from lossreg.training.record.owner import this_process
from lossreg.training.record.run_json import NAME, write_run_record
from lossreg.training.record.saved import LOSS, MODEL
from lossreg.training.results import final_row
from lossreg.training.stops import SignalGuard, signal_name
from lossreg.values import finite

if TYPE_CHECKING:
    from lossreg.training.parts import Parts
    from lossreg.training.results import RunResult
    from lossreg.training.state import Run

logger = logging.getLogger("lossreg")


@attrs.frozen
class Resumed:
    """Where a run goes on from.

    Attributes:
        started: When the run began, as its run.json says.
        metrics_bytes: How much of metrics.jsonl is kept.
        history: When and where it went on each time, this one included, for run.json.
        row: The row of the last epoch that was recorded, or None.
        from_data: Field -> its spec as it was asked for, and with the numbers that were computed for it.
    """

    started: str
    metrics_bytes: int
    history: Sequence[Mapping[str, Any]]
    row: Mapping[str, Any] | None = None
    from_data: Mapping[str, tuple[str, Any]] = attrs.field(factory=dict)


def now() -> str:
    """The time, with the offset from UTC."""
    return datetime.now().astimezone().isoformat(timespec="seconds")


class Recorder:
    """An observer that keeps the run directory; every file is whole at every moment.

    Args:
        directory: The claimed directory.
        parts: The parts of the run.
        signals: Lets signals wait while the record is completed.
        resumed: Where the run goes on from, if it does.
        command: The command line, or None.
    """

    def __init__(
        self,
        directory: RunDirectory,
        parts: Parts,
        signals: SignalGuard,
        resumed: Resumed | None = None,
        command: str | None = None,
    ) -> None:
        self._signals = signals
        self._claim = directory
        self._directory = directory.path
        self._resumed = resumed
        self._metrics: MetricsFile | None = None
        self._last = None if resumed is None or resumed.row is None else dict(resumed.row)
        self._files: dict[str, dict[str, Any]] = {}  # what was saved -> which weights it holds
        self._is_kept = True
        self._started = now() if resumed is None else resumed.started
        self._facts = {**parts.describe(), "process": this_process(), "launch": launch_id(), "command": command}
        for field, (asked, numbers) in ({} if resumed is None else resumed.from_data).items():
            if self._facts["spec"].get(field) == numbers:  # nothing is computed again
                self._facts["from_data"][field] = asked

    def lossreg_run_started(self, run: Run) -> None:
        """Writes run.json and opens metrics.jsonl.

        Raises:
            RunFailedError: If they cannot be written. Nothing is left then where not even run.json can be.
        """
        try:
            with self._failing_run(run, NAME):
                self._write(run, "running")
        except RunFailedError:
            self._claim.release()
            self._is_kept = False
            raise
        with self._failing_run(run, METRICS):
            self._metrics = MetricsFile(self._directory, 0 if self._resumed is None else self._resumed.metrics_bytes)

    def synchronise(self) -> int:
        """Puts metrics.jsonl on the disk, and gives its length in bytes.

        Raises:
            OSError: If it cannot be written to.
        """
        return 0 if self._metrics is None else self._metrics.synchronise()

    def lossreg_logged(self, run: Run, record: Mapping[str, Any]) -> None:
        """Appends a step."""
        self._append(record)

    def lossreg_epoch_finished(self, run: Run, record: Mapping[str, Any]) -> None:
        """Appends an epoch."""
        with self._signals.pausing():  # run.json counts the rows
            self._last = dict(record)
            self._append(record)

    def lossreg_run_finished(self, run: Run, result: RunResult) -> None:
        """Writes the model and the last run.json.

        Raises:
            RunFailedError: If they cannot be written.
        """
        with self._signals.holding():
            if result.tested is not None:
                self._append(result.tested)
            facts = self._facts_of(run, run.best.row["weights"] if run.best else run.parts.weights.held)
            for name, state in self._trained(run):
                with self._failing_run(run, name):
                    self._save(name, state, facts)
            with self._failing_run(run, NAME):
                self._close(run, "finished" if result.reason is None else "stopped", result.reason)

    def lossreg_run_failed(self, run: Run, error: BaseException) -> None:
        """Keeps what there is: first the weights so far, which nothing can replace, then why it ended.

        Weights that are not finite are nothing to keep.
        """
        if not self._is_kept:
            return
        try:
            with self._signals.holding():
                self._keep(run, error)
        finally:
            self._claim.close()  # also where run.json cannot be written: the run may go on, in this process too

    def _keep(self, run: Run, error: BaseException) -> None:
        """Writes what can be written of a run that failed."""
        stopped_by = signal_name(error)
        facts = self._facts_of(run, run.best.row["weights"] if run.best else self._chosen(run))
        spoilt = self._spoilt(run)
        if spoilt is not None:
            logger.warning("%s is not written: the weights hold NaN or infinity in %s", self._directory / MODEL, spoilt)
        for name, state in self._trained(run) if spoilt is None else ():
            with self._telling_of(name):
                self._save(name, state, facts)
        with self._telling_of(NAME):
            self._close(run, "interrupted" if stopped_by else "failed", stopped_by or describe_error(error))

    @staticmethod
    def _chosen(run: Run) -> str | None:
        """Puts the weights to keep into the model, and says which they are; None if that is not known."""
        try:
            return run.parts.weights.keep()
        except Exception as error:  # of an optimizer, or of a device that failed
            logger.warning(
                "the weights %s could not be put in place: %s", run.parts.weights.name, describe_error(error)
            )
            return None

    @contextlib.contextmanager
    def _telling_of(self, name: str) -> Iterator[None]:
        """The error goes on to the caller; one of writing must not take its place, but it is said."""
        try:
            yield
        except Exception as error:  # a device that failed raises errors of its own
            logger.warning("%s could not be kept: %s", self._directory / name, why_not_written(error))

    @contextlib.contextmanager
    def _failing_run(self, run: Run, name: str) -> Iterator[None]:
        """A file that cannot be written fails the run with a message."""
        try:
            yield
        except (OSError, RuntimeError, StateError) as error:  # the second of torch, where a device failed
            if isinstance(error, RunFailedError):
                raise
            raise self._cannot_be_written(name, error, run.epoch, run.step) from error

    def _cannot_be_written(self, name: str, error: BaseException, epoch: int, step: int) -> RunFailedError:
        file, nothing = self._directory / name, ""
        with contextlib.suppress(CheckpointError):  # of a folder that cannot be read either
            if name == MODEL and not CheckpointFolder(self._directory / CHECKPOINTS).list():
                nothing = "; no weights of this run are kept"
        said = f"{file} cannot be written to: {why_not_written(error)}{nothing}"
        return RunFailedError(said, epoch=epoch, step=step)

    def _append(self, row: Mapping[str, Any]) -> None:
        if self._metrics is not None:
            self._metrics.append(row)

    def _close(self, run: Run, status: str, reason: str | None) -> None:
        metrics, self._metrics = self._metrics, None
        try:
            if metrics is not None:
                with self._failing_run(run, METRICS):
                    metrics.close()
        finally:
            self._write(run, status, reason)
            self._claim.close()

    @staticmethod
    def _trained(run: Run) -> Iterator[tuple[str, Mapping[str, Any]]]:
        best = run.best
        yield MODEL, best.model if best else run.model.state_dict()
        if run.parts.objective.trains_loss:
            yield LOSS, best.loss if best else run.parts.objective.loss_state()

    def _spoilt(self, run: Run) -> str | None:
        """The first tensor of what would be saved that is not finite; None if all are, or if that is not known."""
        try:
            named = {
                f"loss.{key}" if name == LOSS else key: value
                for name, state in self._trained(run)
                for key, value in state.items()
                if isinstance(value, Tensor)
            }
            counted = {key: value for key, value in named.items() if key not in run.exempt}
            finite_ones = are_finite(list(counted.values()))
        except Exception:  # of a device that failed: what can be written is
            return None
        return next((key for key, is_finite in zip(counted, finite_ones, strict=True) if not is_finite), None)

    @staticmethod
    def _facts_of(run: Run, held: str | None) -> dict[str, Any]:
        """What the files of weights say of themselves; `weights` is None if that is not known."""
        kept: Mapping[str, Any] = run.best.row if run.best else {"epoch": run.epoch, "step": run.step}
        return {"weights": held, "epoch": kept["epoch"], "step": kept["step"]}

    def _save(self, name: str, state: Mapping[str, Any], facts: Mapping[str, Any]) -> None:
        told = {key: str(value) for key, value in facts.items() if value is not None}
        with replacing(self._directory / name) as partial, partial.open("wb") as file:
            write_weights(file, state, told)
        self._files[name] = {"weights": facts["weights"]}

    def _write(self, run: Run, status: str, reason: str | None = None) -> None:
        kept = run.best.row if run.best else self._last
        content = {
            "status": status,
            "reason": reason,
            "stopped_by": run.stopped_by,
            **self._facts,
            "repeatable": run.repeatable,
            "participants": [participant.to_json() for participant in run.participants],
            "observers": list(run.observers),
            "started": self._started,
            "seconds": round(run.seconds, 3),
            "resumed": [] if self._resumed is None else [dict(one) for one in self._resumed.history],
            "epochs_done": self._last["epoch"] + 1 if self._last else 0,
            "steps_done": run.step,
            "files": self._files,
            "best_epoch": run.kept_epoch,
            "test_read": run.test_read,
            "metrics": kept and finite(final_row(kept, run.tested)),
        }
        write_run_record(self._directory, content)
