"""One component by itself: built with its defaults and used once, outside of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import torch

from lossreg.component import Component
from lossreg.errors import LossregError, MissingLibraryError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.registry.entry import RegistryEntry
from lossreg.training.observing import check_observer
from lossreg.training.trial.building import EPOCHS, build, can_be_built
from lossreg.training.trial.loss import loss_problems
from lossreg.training.trial.metric import metric_problems
from lossreg.training.trial.optimizer import optimizer_problems


def try_component(entry: RegistryEntry[Component]) -> list[str]:
    """What is wrong with a component when it is built with its defaults and used once; one line each.

    Models and data sets are not built, which may take long, or download something; nor is what needs a parameter that
    only a user can give.
    """
    trial = _TRIALS.get(entry.component.kind)
    try:
        return list(trial(entry)) if trial is not None and can_be_built(entry) else []
    except MissingLibraryError:  # a matter of this installation, which says so when it is used
        return []
    except LossregError as error:
        return [error.message]
    except BaseException as error:  # whatever a component does, the others are tried
        if is_from_outside(error):
            raise
        return [f"it failed when it was tried: {describe_error(error)}"]


def _scheduler_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    optimizer = torch.optim.SGD([torch.nn.Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = build(entry, optimizer)
    if not callable(getattr(scheduler, "step", None)):
        yield f"its factory returns a {type(scheduler).__name__}, which has no step()"
        return
    monitored = (1.0,) if getattr(entry.component, "monitor", None) else ()
    for epoch in range(EPOCHS - 1):
        optimizer.step()
        scheduler.step(*monitored)
        rate = float(optimizer.param_groups[0]["lr"])
        if not 0 <= rate < float("inf"):
            yield f"it sets the rate {rate} after epoch {epoch}"
            return


def _observer_problems(entry: RegistryEntry[Component]) -> Iterator[str]:
    check_observer(build(entry), entry.id)
    yield from ()


_TRIALS: dict[str, Callable[[RegistryEntry[Component]], Iterator[str]]] = {
    "loss": loss_problems,
    "optimizer": optimizer_problems,
    "scheduler": _scheduler_problems,
    "metric": metric_problems,
    "observer": _observer_problems,
}
