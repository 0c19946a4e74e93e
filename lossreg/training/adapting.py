"""From the choice of a loss to what stands between model and loss, in a run and in other trainers."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.errors import ConfigError
from lossreg.training.loss.adapter import Criterion, LossAdapter, adapt, adapting
from lossreg.training.loss.fitting import check_fed
from lossreg.training.selection import declaration_of

if TYPE_CHECKING:
    from lossreg.data import Task
    from lossreg.registry.registries import Registries
    from lossreg.training.choice import Choice


def build_criterion(choice: Choice, runtime: Mapping[str, Any]) -> Criterion:
    """Builds a loss, or takes the object.

    Args:
        choice: The loss.
        runtime: Runtime name -> value.

    Raises:
        LossregError: If it cannot be built, or an object is none that can be called with output and target.
    """
    return criterion_builder(choice, runtime)()


def criterion_builder(choice: Choice, runtime: Mapping[str, Any]) -> Callable[[], Criterion]:
    """What does that later: its arguments are found and checked at once.

    Args:
        choice: The loss.
        runtime: Runtime name -> value.

    Raises:
        UnknownParameterError: If a required parameter is missing.
    """
    build = choice.builder(runtime)

    def built() -> Criterion:
        criterion: Criterion = build()
        if isinstance(criterion, type):
            raise ConfigError(f"the loss {choice.label} is a class; give an instance of it")
        if not callable(criterion):
            raise ConfigError(f"the loss {criterion!r} cannot be called")
        return criterion

    return built


def adapted(criterion: Criterion, choice: Choice, task: Task, registries: Registries) -> LossAdapter:
    """A loss with what is done to output and target before they reach it.

    Args:
        criterion: The loss, built.
        choice: What it was built from; an object declares nothing, but for the classes of the built-in losses.
        task: The task of the data set.
        registries: Where names are looked up.

    Raises:
        ConfigError: If the loss takes more than output and target.
    """
    adapter = adapt(criterion, choice.component, task)
    known = None if choice.component is not None else declaration_of(criterion, registries)
    if known is None:
        return adapter
    check_fed(known, choice.label)
    # Nothing is done to the output: what such a loss takes is what the model gives.
    threshold = 0.5 if known.input == "label_probabilities" else 0.0
    return attrs.evolve(adapter, averages=known.averages, takes_index=known.target == "index", threshold=threshold)


def adapter_builder(
    choice: Choice, task: Task, runtime: Mapping[str, Any], registries: Registries
) -> Callable[[], LossAdapter]:
    """What builds a loss, with what is done to output and target; what goes by its text is done once.

    Args:
        choice: The loss.
        task: The task of the data set.
        runtime: Runtime name -> value.
        registries: Where names are looked up.

    Raises:
        UnknownParameterError: If a required parameter is missing.
    """
    build = criterion_builder(choice, runtime)
    if choice.component is None:
        return lambda: adapted(build(), choice, task, registries)
    adapt_to_task = adapting(choice.component, task)
    return lambda: adapt_to_task(build())
