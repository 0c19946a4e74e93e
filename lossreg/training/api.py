"""`run` and `plan`: from names, spec texts and objects to a trained model and its record."""

from __future__ import annotations

import contextlib
import functools
import logging
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Unpack

from lossreg.errors import LossregError
from lossreg.registry.registries import Registries, default
from lossreg.training.arguments import RunArguments, check_call, shows_settings, split_arguments, split_observers
from lossreg.training.hardware.distributed import Processes
from lossreg.training.hardware.launcher import check_main_guard
from lossreg.training.hooks import RunHooks
from lossreg.training.loop import train
from lossreg.training.observing import build_observers
from lossreg.training.record.directory import RUNS, RunDirectory, absolute_path
from lossreg.training.record.progress import Progress
from lossreg.training.record.recorder import Recorder
from lossreg.training.record.saved import MODEL
from lossreg.training.results import Plan, RunResult
from lossreg.training.selection import Request, class_name
from lossreg.training.setup import set_up
from lossreg.training.state import Run
from lossreg.training.stops import SignalGuard, exits_as_failures, signal_name
from lossreg.training.untouched import untouched

logger = logging.getLogger("lossreg")


@shows_settings
def run(
    *,
    out: str | Path | None = None,
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
        quiet: Whether nothing is shown on stderr but warnings.
        plots: Whether `curves.png` is drawn at the end, which takes half a second or more.
        observers: Objects with methods named like the run hooks (`lossreg_epoch_finished(run, record)`), whose errors
            are errors of the run; those in `observe` only cost a warning.
        registries: Where names are looked up; None is `lossreg.losses` and its siblings.
        settings: The components and the settings of the loop; `lossreg.RunSpec` describes each.

    Raises:
        LossregError: If something is wrong with the arguments or the parts do not fit; nothing is written then.
        RunFailedError: If the training loss stops being a finite number, the record cannot be written, or the code of a
            part raises what is not an Exception, such as SystemExit, but for a signal.

    Example:
        >>> import lossreg, tempfile
        >>> result = lossreg.run(loss="dice", epochs=1, limit_train=128, out=tempfile.mkdtemp(), quiet=True)
        >>> sorted(path.name for path in result.directory.iterdir())
        ['metrics.jsonl', 'model.safetensors', 'run.json']
    """
    check_call(registries, out, quiet, observers, plots)
    chosen = default if registries is None else registries
    named, observing = split_observers(settings)
    spec, objects = split_arguments(named, "run", chosen)
    request = Request(spec, objects, chosen, observing)
    return run_request(request, out=out, quiet=quiet, plots=plots, observers=observers)


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
    spec, objects = split_arguments(named, "plan", chosen)
    return plan_request(Request(spec, objects, chosen, observing))


def run_request(
    request: Request,
    *,
    out: str | Path | None = None,
    runs: Path | None = None,
    quiet: bool = False,
    plots: bool = False,
    observers: Sequence[object] = (),
) -> RunResult:
    """Trains what was asked for; see `run`.

    Args:
        request: What to train.
        out: The run directory.
        runs: The folder of run directories without a name; None is `runs` below the working directory.
        quiet: Whether nothing is shown on stderr but warnings.
        plots: Whether `curves.png` is drawn at the end.
        observers: Objects with methods named like the run hooks.
    """
    check_main_guard("lossreg.run")
    check_call(request.registries, out, quiet, observers, plots)
    # Now: a data set, a plugin or an observer may change the working directory.
    place = absolute_path(runs or RUNS) if out is None else absolute_path(out)
    seen = [*([] if quiet else [Progress()]), *observers]
    with SignalGuard() as signals:
        processes = Processes.join()
        run, hooks = _prepare(request, processes, place, seen, signals, is_named=out is not None, quiet=quiet)
        run.directory = processes.broadcast_object(run.directory)
        run.parts.weights.holding = signals.pausing
        with _pictured(run.directory) if plots and processes.is_main else contextlib.nullcontext():
            return _train(run, hooks)


@contextlib.contextmanager
def _pictured(directory: Path) -> Iterator[None]:
    """Draws `curves.png` after the block, when the record is complete; not if a signal ended the run."""
    from lossreg.pictures.curves import draw_curves  # most runs from Python need none

    try:
        yield
    except Exception:
        if (directory / MODEL).exists():  # otherwise nothing can be written there: the disk may be full
            draw_curves(directory)
        raise
    draw_curves(directory)


def plan_request(request: Request) -> Plan:
    """Checks what was asked for; see `plan`."""
    with exits_as_failures(), untouched(request.objects.values()):
        build_observers(request)  # what cannot be built is found here too; none is called
        parts = set_up(request, Processes(), quiet=True)
        facts = parts.describe()
        parts.freezing.end(parts.objective)
    rates = parts.optimization.rates
    return Plan(
        spec=parts.spec,
        components=facts.pop("components"),
        contract=facts.pop("contract"),
        facts={key: value for key, value in facts.items() if key != "spec"},
        learning_rates=None if rates is None else [(rate.first, rate.last) for rate in rates],
        warnings=parts.warnings,
        planned=parts.optimization.planned,
    )


def _prepare(
    request: Request,
    processes: Processes,
    place: Path,
    observers: Sequence[object],
    signals: SignalGuard,
    *,
    is_named: bool,
    quiet: bool,
) -> tuple[Run, RunHooks]:
    """Claims the directory and sets the run up; nothing is left if that fails, in whichever process."""
    directory: RunDirectory | None = None
    hooks = RunHooks.none()
    try:
        with processes.fail_together(), exits_as_failures():
            if is_named and processes.is_main:
                directory = RunDirectory.claim(place)
            isolated = build_observers(request) if processes.is_main else []
            parts = set_up(request, processes, quiet=quiet)
            if processes.is_main:
                directory = directory or RunDirectory.claim_default(parts.labels, place)
                hooks = RunHooks([Recorder(directory, parts, signals), *observers], request.registries, isolated)
    except BaseException:
        if directory is not None:
            directory.release()
        raise
    for warning in parts.warnings if processes.is_main else ():
        logger.warning("%s", warning)
    run = Run(
        parts.spec,
        directory.path if directory else Path(),  # the main process knows it
        parts,
        participants=hooks.participants,
        observers=tuple(class_name(one) for one in (*observers, *request.observers) if not isinstance(one, Progress)),
    )
    return run, hooks


def _train(run: Run, hooks: RunHooks) -> RunResult:
    processes = run.parts.processes
    started = time.perf_counter()
    contained = functools.partial(exits_as_failures, lambda: (run.epoch, run.step))
    hurried = False
    try:
        with contained():
            hooks.call("lossreg_run_started", run=run)
            result = _result(run, train(run, hooks), started)
        with processes.fail_together(), contained():  # the record is complete before any process goes on
            hooks.call("lossreg_run_finished", run=run, result=result)
    except BaseException as error:
        failure = processes.explain(error, run.epoch, run.step)
        hurried = signal_name(failure) is not None
        if not isinstance(failure, LossregError):
            failure.add_note(f"lossreg: at epoch {run.epoch}, step {run.step}; files in {run.directory}")
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
