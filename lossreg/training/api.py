"""`run` and `plan`: from names, spec texts and objects to a trained model and its record."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Unpack

from lossreg.registry.registries import Registries, default
from lossreg.training.arguments import (
    RunArguments,
    check_call,
    check_resuming,
    shows_settings,
    split_arguments,
    split_metrics,
    split_observers,
)
from lossreg.training.execution import run_request
from lossreg.training.planning import plan_request
from lossreg.training.results import Plan, RunResult
from lossreg.training.resume.past import past_settings
from lossreg.training.selection import Request


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
