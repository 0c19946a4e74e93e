"""`run` and `plan`: from names, spec texts and objects to a trained model and its record."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

import attrs

from lossreg.checkpoints.folder import CheckpointFolder
from lossreg.errors import ConfigError, LossregError
from lossreg.registry.registries import Registries, default
from lossreg.training.agenda import Agenda
from lossreg.training.arguments import (
    RunArguments,
    check_call,
    check_resuming,
    shows_settings,
    split_arguments,
    split_metrics,
    split_observers,
)
from lossreg.training.choice import class_name
from lossreg.training.early_stopping import EarlyStopping
from lossreg.training.finite_loss import FiniteLoss
from lossreg.training.hardware.deterministic import deterministic_algorithms, naming_operations
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.launcher import check_main_guard, restarted_by_launcher
from lossreg.training.hooks import RunHooks
from lossreg.training.loop import train
from lossreg.training.not_finite import not_finite_at_start
from lossreg.training.observing import build_observers
from lossreg.training.parts import Parts
from lossreg.training.record.differences import differences
from lossreg.training.record.directory import CHECKPOINTS, RUNS, RunDirectory, absolute_path
from lossreg.training.record.progress import Progress
from lossreg.training.record.reading import read_content
from lossreg.training.record.recorder import Recorder
from lossreg.training.record.run_json import NAME
from lossreg.training.results import Plan, RunResult
from lossreg.training.resume.past import (
    Resumption,
    check_settings,
    find_restarted,
    open_past_run,
    past_settings,
)
from lossreg.training.resume.saver import Saver
from lossreg.training.resume.session import Session
from lossreg.training.seeds import seed_process
from lossreg.training.selection import Request
from lossreg.training.setup.assembly import set_up
from lossreg.training.state import Run
from lossreg.training.stops import GOES_ON_FROM, SignalGuard, exits_as_failures, signal_name
from lossreg.training.untouched import untouched

logger = logging.getLogger("lossreg")


@shows_settings
def run(
    *,
    out: str | Path | None = None,
    resume: str | Path | None = None,
    override: bool = False,
    quiet: bool = False,
    plots: bool = False,
    observers: Sequence[object] = (),
    registries: Registries | None = None,
    **settings: Unpack[RunArguments],
) -> RunResult:
    """Trains a model and keeps the result in a run directory.

    Each component is a name (`"dice"`), a spec text (`"sgd(lr=0.1)"`), or an object: a loss that is called as
    `loss(output, target)` with the data set's targets, or a `lossreg.Loss` that says what it takes; an optimizer of the
    model's parameters, or a function that makes one; a scheduler of the optimizer, or a function that makes one; a
    model, trained in place; a `lossreg.Data`. A run with an object in it cannot be repeated from its directory alone,
    which run.json says.

    Args:
        out: The run directory, absent or empty; None is `runs/<time>-<model>-<loss>-<optimizer>`.
        resume: The directory of a run that goes on from its newest checkpoint, to the same bits as if it had never been
            broken off. Its settings are taken from there; what was a Python object has to be given again.
        override: Whether a resumed run may go on with other settings, and without the states that do not fit.
        quiet: Whether nothing is shown on stderr but warnings.
        plots: Whether `curves.png` is drawn at the end, which takes half a second or more.
        observers: Objects with methods named like the run hooks (`lossreg_epoch_finished(run, record)`), whose errors
            are errors of the run; those in `observe` only cost a warning.
        registries: Where names are looked up; None is `lossreg.losses` and its siblings.
        settings: The components and the settings of the loop; `lossreg.RunSpec` describes each.

    Raises:
        LossregError: If something is wrong with the arguments or the parts do not fit; nothing is written then.
        RunFailedError: If the training loss or a weight stops being a finite number, the record cannot be written, or
            the code of a part raises what is not an Exception, such as SystemExit, but for a signal.

    Example:
        >>> import lossreg, tempfile
        >>> result = lossreg.run(loss="dice", epochs=1, limit_train=128, out=tempfile.mkdtemp(), quiet=True)
        >>> sorted(path.name for path in result.directory.iterdir())
        ['checkpoints', 'metrics.jsonl', 'model.safetensors', 'run.json']
    """
    check_call(registries, out, quiet, observers, plots)
    check_resuming(resume, out, override)
    chosen = default if registries is None else registries
    named, observing = split_observers(settings)
    named, measuring = split_metrics(named)
    if resume is not None:
        named = past_settings(resume, named)
    spec, objects = split_arguments(named, "run", chosen)
    request = Request(spec, objects, chosen, observing, measuring)
    return run_request(
        request, out=out, resume=resume, override=override, quiet=quiet, plots=plots, observers=observers
    )


@shows_settings
def plan(*, registries: Registries | None = None, **settings: Unpack[RunArguments]) -> Plan:
    """Checks a run without starting it.

    Args:
        registries: As for `run`.
        settings: As for `run`.

    Returns:
        The components with every default, how they fit, and the learning rate of each epoch.

    Raises:
        LossregError: As `run` would.

    Example:
        >>> import lossreg
        >>> plan = lossreg.plan(scheduler="lambda_lr(lr_lambda='epoch // 2')", epochs=4)
        >>> [first for first, last in plan.learning_rates]
        [0.0, 0.0, 0.01, 0.01]
    """
    check_call(registries)
    chosen = default if registries is None else registries
    named, observing = split_observers(settings)
    named, measuring = split_metrics(named)
    spec, objects = split_arguments(named, "plan", chosen)
    return plan_request(Request(spec, objects, chosen, observing, measuring))


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


@attrs.frozen
class Place:
    """Where a run is kept.

    Attributes:
        path: The run directory, or the folder for one that has no name yet; absolute.
        is_named: Whether it is the run directory.
        resumes: Whether the run in it goes on.
        by_itself: Whether it does so because its launcher started it again.
        override: Whether it may go on with other settings.
    """

    path: Path
    is_named: bool
    resumes: bool = False
    by_itself: bool = False
    override: bool = False

    @classmethod
    def of(cls, out: str | Path | None, resume: str | Path | None, runs: Path | None, *, override: bool) -> Place:
        """From the arguments of `run_request`."""
        if resume is not None:
            return cls(absolute_path(resume), is_named=True, resumes=True, override=override)
        path = absolute_path(runs or RUNS) if out is None else absolute_path(out)
        if not restarted_by_launcher():
            return cls(path, is_named=out is not None)
        found = path if out is not None else find_restarted(path)
        if found is None or not (found / NAME).exists():
            return cls(path, is_named=out is not None)
        return cls(found, is_named=True, resumes=True, by_itself=True)


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


def plan_request(request: Request) -> Plan:
    """Checks what was asked for; see `plan`."""
    deterministic = request.spec.deterministic
    with exits_as_failures(), untouched(request.objects.values()), deterministic_algorithms(wanted=deterministic):
        build_observers(request)  # what cannot be built is found here too; none is called
        with naming_operations(wanted=deterministic):
            parts = set_up(request, Processes(), quiet=True)
        facts = parts.describe()
        changes = list(_changes(request, parts))
        parts.freezing.end(parts.objective)
    rates = parts.optimization.rates
    return Plan(
        spec=parts.spec,
        components=facts.pop("components"),
        contract=facts.pop("contract"),
        facts={key: value for key, value in facts.items() if key != "spec"},
        learning_rates=None if rates is None else [(rate.first, rate.last) for rate in rates],
        warnings=[*changes, *parts.warnings],
        planned=parts.optimization.planned,
    )


def _changes(request: Request, parts: Parts) -> Iterator[str]:
    """What is different from the past run that is repeated."""
    if request.repeats is not None:
        with contextlib.suppress(ConfigError):  # its settings were read from it before
            yield from differences(request.repeats, read_content(request.repeats), parts.describe())


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
    warnings = [*_changes(request, parts), *parts.warnings] if processes.is_main else []
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
