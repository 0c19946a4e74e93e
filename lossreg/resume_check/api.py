"""`verify_resume`."""

from __future__ import annotations

import functools
import logging
import pickle
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any, Unpack

import attrs

from lossreg.comparison.jobs import Job, Slots, do, own_threads
from lossreg.errors import ConfigError, describe_error
from lossreg.machine import available_cores
from lossreg.registry.registries import default
from lossreg.resume_check.jobs import Asked, Seen, plan, train
from lossreg.resume_check.report import ResumeReport, compare, unwritable_report
from lossreg.run_spec import RunSpec
from lossreg.settings import is_whole
from lossreg.training.arguments import RunArguments, shows_settings, split_arguments, split_metrics, split_observers
from lossreg.training.hardware.launcher import check_main_guard, find_launch
from lossreg.values import shown

BATCHES = 6  # of the training split, where no limit is set

logger = logging.getLogger("lossreg")


@shows_settings
def verify_resume(
    *, steps: int | None = None, more: int | None = None, **settings: Unpack[RunArguments]
) -> ResumeReport:
    """Proves for the parts of a run that it goes on, after it was broken off, to the same bits.

    The run is made twice, in a temporary directory: in one piece, and in two processes of which the second goes on from
    the checkpoint of the first. Weights, the states of loss, optimizer and scheduler, averages, random generators and
    metrics are compared. Where they differ, what a part keeps outside of its `state_dict()` is named.

    Args:
        steps: Steps until the run is broken off; None is in the middle of an epoch.
        more: Steps after that; None is until the middle of the next epoch but one, where the run is as long.
        settings: As for `lossreg.run`. Without limits, a few batches of the data set are taken. Python objects are
            handed to other processes, so it must be possible to pickle them.

    Raises:
        LossregError: If something is wrong with the arguments, or a run fails.

    Example:
        >>> import lossreg
        >>> print(lossreg.verify_resume.__name__)
        verify_resume
    """
    named, observing = split_observers(settings)
    named, measuring = split_metrics(named)
    spec, objects = split_arguments(named, "verify_resume", default)
    return verify_request(spec, objects, observing, measuring, steps=steps, more=more)


def verify_request(
    spec: RunSpec,
    objects: dict[str, Any],
    observers: tuple[object, ...] = (),
    metrics: tuple[object, ...] = (),
    *,
    steps: int | None = None,
    more: int | None = None,
) -> ResumeReport:
    """Checks a run; see `verify_resume`.

    Args:
        spec: Its settings.
        objects: Field -> the Python object to use instead of a name.
        observers: Python objects that observe it.
        metrics: Python objects that measure the model.
        steps: Steps until it is broken off.
        more: Steps after that.
    """
    check_main_guard("lossreg.verify_resume")
    for name, count in (("steps", steps), ("more", more)):
        if count is not None and not (is_whole(count) and count >= 1):
            raise ConfigError(f"{name} (--{name}) is a number of steps, at least 1, not {shown(count)}")
    if find_launch() is not None:
        raise ConfigError("verify-resume trains in processes of its own: start it alone, without torchrun")
    _check_unlimited(spec)
    asked = Asked(_small(spec), objects, observers, metrics)
    _check_picklable(asked)
    planned = _done("plan", functools.partial(plan, asked))
    steps, more = _split(planned["spec"].epochs, planned["steps_per_epoch"], steps, more)
    if planned["unwritable"] is not None:
        return unwritable_report(steps, more, planned["unwritable"])
    with tempfile.TemporaryDirectory(prefix="lossreg-") as folder:
        return _compared(asked, Path(folder), steps, more)


def _compared(asked: Asked, folder: Path, steps: int, more: int) -> ResumeReport:
    total = steps + more
    whole: Seen = _done("whole", functools.partial(train, asked, folder / "whole", total, None, None))
    if whole.steps < total:
        raise ConfigError(
            f"the run ended after {whole.steps} of {total} steps ({whole.reason}); fewer --steps and --more, or a run "
            "that does not end itself, can be compared"
        )
    broken = folder / "broken"
    first: Seen = _done("first", functools.partial(train, asked, broken, steps, steps, None))
    second: Seen = _done("second", functools.partial(train, asked, broken, total, None, broken))
    return compare(whole, first, second, steps, more)


def _check_unlimited(spec: RunSpec) -> None:
    """Checks that what the check sets itself is not set."""
    usual = {field.name: field.default for field in attrs.fields(RunSpec)}
    for name in ("max_steps", "max_time"):
        if getattr(spec, name) != usual[name]:
            raise ConfigError(
                f"{name} (--{name.replace('_', '-')}) has no effect: --steps and --more say how long the check trains"
            )


def _small(spec: RunSpec) -> RunSpec:
    """The run with a few batches, a row for each step, and a checkpoint where it is broken off alone."""
    samples = BATCHES * spec.batch_size * spec.accumulate
    return attrs.evolve(
        spec,
        limit_train=samples if spec.limit_train is None else spec.limit_train,
        limit_test=2 * spec.batch_size if spec.limit_test is None else spec.limit_test,
        log_every=1,
        checkpoint_every=str(spec.epochs),
        best=None,
    )


def _split(epochs: int, per_epoch: int, steps: int | None, more: int | None) -> tuple[int, int]:
    """In the middle of an epoch, and from there over the end of it into the next one, as far as the run has as many."""
    total, half = epochs * per_epoch, max(per_epoch // 2, 1)
    if steps is None:
        steps = half if epochs < 3 else per_epoch + half
    if more is None:
        more = max(min(per_epoch, total - steps), 1)
    if steps + more > total:
        raise ConfigError(
            f"the run has {total} steps ({epochs} epochs of {per_epoch}), not the {steps} and {more} that were to be "
            "compared; with more epochs (--epochs) it has more"
        )
    return steps, more


def _check_picklable(asked: Asked) -> None:
    listed = [*(("observe", one) for one in asked.observers), *(("metrics", one) for one in asked.metrics)]
    for field, part in [*asked.objects.items(), *listed]:
        try:
            pickle.dumps(part)
        except Exception as error:
            raise ConfigError(
                f"{field}={shown(part)} cannot be handed to another process: {describe_error(error)}; define it in a "
                "module, or register it by a name"
            ) from error


def _done(name: str, function: Callable[..., Any]) -> Any:
    """What a job returns; it is done in a process of its own.

    Raises:
        LossregError: That it ended with.
    """

    def told(job: Job, kind: str, value: Any) -> None:
        if kind == "warning" and job.name == "whole":  # each would say the same
            logger.warning("%s", value)

    outcome = do([Job(name, function)], Slots(1, own_threads(available_cores())), told)[name]
    if outcome.error is not None:
        raise outcome.error
    return outcome.value
