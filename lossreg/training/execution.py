"""A run from its first to its last moment: claiming its directory, training, and what happens when it fails."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.errors import ConfigError, LossregError
from lossreg.training.agenda import Agenda
from lossreg.training.arguments import check_call
from lossreg.training.choice import class_name
from lossreg.training.early_stopping import EarlyStopping
from lossreg.training.finite_loss import FiniteLoss
from lossreg.training.hardware.deterministic import deterministic_algorithms, naming_operations
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.launcher import check_main_guard
from lossreg.training.hooks import RunHooks
from lossreg.training.loop import train
from lossreg.training.not_finite import not_finite_at_start
from lossreg.training.observing import build_observers
from lossreg.training.place import Place
from lossreg.training.planning import changes_of_repeat
from lossreg.training.record.directory import CHECKPOINTS, RunDirectory
from lossreg.training.record.progress import Progress
from lossreg.training.record.reading import read_content
from lossreg.training.record.recorder import Recorder
from lossreg.training.results import RunResult
from lossreg.training.resume.past import Resumption, check_settings, open_past_run
from lossreg.training.resume.saver import Saver
from lossreg.training.resume.session import Session
from lossreg.training.seeds import seed_process
from lossreg.training.selection import Request
from lossreg.training.setup.assembly import set_up
from lossreg.training.state import Run
from lossreg.training.stops import GOES_ON_FROM, SignalGuard, exits_as_failures, signal_name

logger = logging.getLogger("lossreg")


def run_request(
    request: Request,
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    override: bool = False,
    runs: Path | None = None,
    quiet: bool = False,
    plots: bool = False,
    observers: Sequence[object] = (),
) -> RunResult:
    """Trains what was asked for; see `run`.

    Args:
        request: What to train; of a run that goes on, with all its settings.
        out: The run directory.
        resume: The directory of a run that goes on.
        override: Whether it may go on with other settings.
        runs: The folder of run directories without a name; None is `runs` below the working directory.
        quiet: Whether nothing is shown on stderr but warnings.
        plots: Whether `curves.png` is drawn at the end.
        observers: Objects with methods named like the run hooks.
    """
    check_main_guard("lossreg.run")
    check_call(request.registries, out, quiet, observers, plots)
    # Now: a data set, a plugin or an observer may change the working directory.
    place = Place.of(out, resume, runs, override=override)
    seen = [*([] if quiet else [Progress()]), *observers]
    with SignalGuard() as signals, deterministic_algorithms(wanted=request.spec.deterministic):
        processes = Processes.join(signals.left_to_the_system)
        ready = _prepare(request, processes, place, seen, signals, quiet=quiet)
        run = ready.session.run
        run.directory = processes.broadcast_object(run.directory)
        run.parts.weights.holding = signals.pausing
        with _pictured(run.directory, signals) if plots and processes.is_main else contextlib.nullcontext():
            return _train(ready, signals)


@attrs.frozen(eq=False)
class _Ready:
    """A run that is ready for its first step, or for the next one."""

    session: Session
    hooks: RunHooks
    saver: Saver
    agenda: Agenda


@contextlib.contextmanager
def _pictured(directory: Path, signals: SignalGuard) -> Iterator[None]:
    """Draws `curves.png` after the block, when the record is complete; not if a signal ended the run."""
    from lossreg.pictures.curves import draw_curves  # most runs from Python need none

    try:
        yield
    except Exception:
        if _has_its_record(directory):  # otherwise nothing can be written there: the disk may be full
            draw_curves(directory)
        raise
    if not signals.waits:
        draw_curves(directory)


def _has_its_record(directory: Path) -> bool:
    """Whether the record of a run that failed says so."""
    try:
        return read_content(directory).get("status") == "failed"
    except ConfigError:
        return False


def _prepare(
    request: Request,
    processes: Processes,
    place: Place,
    observers: Sequence[object],
    signals: SignalGuard,
    *,
    quiet: bool,
) -> _Ready:
    """Claims the directory and sets the run up; nothing is left if that fails, in whichever process."""
    directory: RunDirectory | None = None
    past: Resumption | None = None
    recorder: Recorder | None = None
    hooks = RunHooks.none()
    try:
        with processes.fail_together(), exits_as_failures():
            if place.resumes and processes.is_main:
                past = open_past_run(place.path, begins_anew=place.by_itself)
                directory = past.directory
            elif place.is_named and processes.is_main:
                directory = RunDirectory.claim(place.path)
            isolated = build_observers(request) if processes.is_main else []
            with naming_operations(wanted=request.spec.deterministic):
                parts = set_up(request, processes, quiet=quiet)
            if processes.is_main:
                directory = directory or RunDirectory.claim_default(parts.labels, place.path)
                if past is not None:
                    check_settings(past, parts.spec, parts.describe(), override=place.override)
                resumed = None if past is None else past.resumed
                recorder = Recorder(directory, parts, signals, resumed, request.command)
                hooks = RunHooks([recorder, *observers], request.registries, isolated)
        run = Run(
            parts.spec,
            directory.path if directory else Path(),  # the main process knows it
            parts,
            participants=hooks.participants,
            observers=tuple(
                class_name(one) for one in (*observers, *request.observers) if not isinstance(one, Progress)
            ),
        )
        ready = _ready(run, hooks, recorder, past, signals, override=place.override)
    except BaseException as error:
        if directory is not None:
            directory.release()
        failure = processes.explain(error, 0, 0)
        if failure is not error:
            raise failure from error
        raise
    warnings = [*changes_of_repeat(request, parts), *parts.warnings] if processes.is_main else []
    for warning in warnings:
        logger.warning("%s", warning)
    return ready


def _ready(
    run: Run,
    hooks: RunHooks,
    recorder: Recorder | None,
    past: Resumption | None,
    signals: SignalGuard,
    *,
    override: bool,
) -> _Ready:
    """The run at its beginning, or where its checkpoint left off."""
    parts = run.parts
    run.exempt = not_finite_at_start(parts.objective)
    session = Session(run, EarlyStopping(run), FiniteLoss(run))
    agenda = Agenda(parts.spec, parts.processes, signals)
    folder = None if recorder is None else CheckpointFolder(run.directory / CHECKPOINTS)
    saver = Saver(parts.spec, agenda, folder, recorder.synchronise if recorder is not None else lambda: 0)
    seed_process(parts.spec.seed, parts.processes.rank)
    saver.begin(session)
    checkpoint = None if past is None else past.checkpoint
    if parts.processes.broadcast_object(checkpoint is not None):
        differences = saver.restore(session, checkpoint, partly=override)
        session.rows[:] = parts.processes.broadcast_object([] if past is None else past.rows)
        if differences and parts.processes.is_main:
            logger.warning("what does not fit was left out: %s", "; ".join(differences[:10]))
    return _Ready(session, hooks, saver, agenda)


def _train(ready: _Ready, signals: SignalGuard) -> RunResult:
    run, hooks = ready.session.run, ready.hooks
    processes = run.parts.processes
    started = time.perf_counter()
    contained = functools.partial(exits_as_failures, lambda: (run.epoch, run.step))
    naming = naming_operations(wanted=run.spec.deterministic, position=lambda: (run.epoch, run.step))
    hurried = False
    try:
        with contained(), naming:
            hooks.call("lossreg_run_started", run=run)
            with signals.noting(ready.agenda.note) if ready.saver.is_on else contextlib.nullcontext():
                result = _result(run, train(ready.session, hooks, ready.saver, ready.agenda), started)
        with processes.fail_together(), contained():  # the record is complete before any process goes on
            hooks.call("lossreg_run_finished", run=run, result=result)
    except BaseException as error:
        failure = processes.explain(error, run.epoch, run.step)
        hurried = signal_name(failure) is not None
        if not isinstance(failure, LossregError):
            failure.add_note(f"lossreg: at epoch {run.epoch}, step {run.step}; files in {run.directory}")
        if hurried and ready.saver.has_written:
            setattr(failure, GOES_ON_FROM, run.directory)
        with contained():
            hooks.call("lossreg_run_failed", run=run, error=failure)
        if failure is not error:
            raise failure from error
        raise
    finally:
        run.parts.close()
        hooks.close(hurried=hurried)
    return result


def _result(run: Run, rows: list[dict[str, Any]], started: float) -> RunResult:
    return RunResult(
        metrics=rows,
        directory=run.directory,
        model=run.model,
        loss=run.loss,
        spec=run.spec,
        repeatable=run.repeatable,
        seconds=time.perf_counter() - started,
        reason=run.stop_reason,
        best_epoch=run.kept_epoch,
        tested=run.tested,
        test_read=run.test_read,
        chosen_on=run.parts.choices.chosen_on,
    )
