"""Optuna: a trial gives the ranges in texts values, for `lossreg.run` and `lossreg.parts`. Tried with optuna 5.0."""

from __future__ import annotations

import weakref
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from lossreg.data import TASKS, Data, Task
from lossreg.embedding.ranges import Choices, Range
from lossreg.embedding.search_space import SearchSpace
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries, default
from lossreg.training.arguments import check_call
from lossreg.values import shown

if TYPE_CHECKING:
    from optuna.trial import BaseTrial

_PLAIN = (str, int, float, Mapping, list, tuple)


def suggest(
    trial: BaseTrial, /, *, registries: Registries | None = None, task: Task | None = None, **settings: Any
) -> dict[str, Any]:
    """Settings with a value of a trial for each range in their texts.

    Ranges are written as in Ray Tune: `uniform(low, high)`, `loguniform(low, high)`, `quniform(low, high, q)`,
    `randint(low, high)` without its upper end, and `choice(a, b, ...)`. The study calls them by the setting and the
    parameter, such as `optimizer.lr`. What their ends lead to is built once, before the first trial is asked.

    Args:
        trial: Of a study; `FixedTrial(study.best_params)` gives the settings of the best one.
        registries: Where names are looked up; None is `lossreg.losses` and its siblings.
        task: That of the data, such as `"regression"`: a loss that does not fit it is an error. It is not among the
            settings that come back. None if it is not known; a run, or `lossreg.parts(..., task=...)`, looks then.
        settings: Those of `lossreg.run`. What is not text stays as it is.

    Returns:
        The settings, for `lossreg.run(**settings)` or `lossreg.parts(**settings)`.

    Raises:
        LossregError: If a range is written wrong, an end of it is not a value of its parameter, or the study has other
            ranges under its name.
    """
    if not callable(getattr(trial, "suggest_float", None)):
        raise ConfigError(f"suggest is given the trial of a study first, not {shown(trial)}")
    space = _checked(settings, registries, task)

    def pick(found: Range) -> float:
        try:
            return _suggested(trial, found)
        except ValueError as error:
            raise ConfigError(
                f"{found.name}={found.written}: {type(trial).__name__} has no value for it: {error} If the range or "
                "what can be chosen has changed, begin a new study (study_name)"
            ) from error

    return space.filled(pick)


def check(*, registries: Registries | None = None, task: Task | None = None, **settings: Any) -> None:
    """Checks settings with ranges before there is a study; `suggest` does the same in the first trial.

    Args:
        registries: As for `suggest`.
        task: As for `suggest`.
        settings: As for `suggest`.

    Raises:
        LossregError: As `suggest`.

    Example:
        >>> check(optimizer="sgd(lr=uniform(-1, 1))")
        Traceback (most recent call last):
        ...
        lossreg.errors.BuildError: optimizer='sgd(lr=uniform(-1, 1))' allows 'sgd(lr=-1.0)': ...
    """
    _checked(settings, registries, task)


_passed: weakref.WeakKeyDictionary[Registries, set[str]] = weakref.WeakKeyDictionary()


def _checked(settings: dict[str, Any], registries: Registries | None, task: Task | None) -> SearchSpace:
    """The settings, read; they are checked the first time, since that takes tens of milliseconds."""
    check_call(registries)
    if task is not None and task not in TASKS:
        raise ConfigError(f"task is one of {', '.join(TASKS)}, not {shown(task)}", setting="task")
    space = SearchSpace(settings)
    names = default if registries is None else registries
    passed = _passed.setdefault(names, set())
    names.load()
    written = repr((names.changes, task, [(key, _known_by(value)) for key, value in settings.items()]))
    if written not in passed:
        space.check(names, task)
        passed.add(written)
    return space


def _known_by(value: object) -> object:
    """What of a setting the check depends on."""
    if isinstance(value, Data):
        return value.task
    return value if isinstance(value, _PLAIN) else type(value)


def _suggested(trial: BaseTrial, found: Range) -> float:
    """The number that a trial suggests, or the position of what it chooses."""
    if isinstance(found, Choices):
        return found.labels.index(trial.suggest_categorical(found.name, found.labels))
    if found.whole:
        return int(trial.suggest_int(found.name, int(found.low), int(found.high)))
    return float(trial.suggest_float(found.name, found.low, found.high, log=found.log, step=found.step))
