"""Trying a component of a bridge: it does what its record says, and what the record may leave unsaid is found."""

from __future__ import annotations

import contextlib
import io
import warnings
from collections.abc import Callable, Mapping
from typing import Any

import torch
from torch import Tensor
from torch.nn import Parameter

from lossreg.component import Component
from lossreg.errors import LossregError, describe_error
from lossreg.plugins.isolation import is_from_outside
from lossreg.plugins.provenance import Provenance
from lossreg.registry.entry import RegistryEntry
from lossreg_bridges.candidates import SIZE
from lossreg_bridges.loss_trials import try_loss, try_metric
from lossreg_bridges.optimizer_trials import try_optimizer
from lossreg_bridges.trial_data import CLASSES, CPU, STEPS, Found, TrialError, build


def try_record(record: Component, example: Mapping[str, Any] | None = None) -> Found:
    """Builds a component and uses it once, with random numbers.

    Args:
        record: The component.
        example: Values for the parameters that a user must give.

    Returns:
        Fields of the record that were found.

    Raises:
        LossregError: If it cannot be built, or does not do what its record says.
    """
    entry: RegistryEntry[Any] = RegistryEntry(record, Provenance("bridge"))
    trial = _TRIALS[record.kind]
    printed = io.StringIO()
    with contextlib.redirect_stdout(printed), warnings.catch_warnings(), torch.random.fork_rng():
        warnings.simplefilter("ignore")  # the run that uses it gives them
        torch.manual_seed(0)
        try:
            return trial(entry, dict(example or {}))
        except LossregError:
            raise
        except BaseException as error:
            if is_from_outside(error):
                raise
            raise TrialError(f"it failed when it was tried: {describe_error(error)}") from error


def _try_scheduler(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """Steps as many times as a run of that many epochs or steps has it step."""
    optimizer = torch.optim.SGD([Parameter(torch.zeros(1))], lr=0.1, momentum=0.9)
    scheduler = build(entry, example, optimizer)
    if not callable(getattr(scheduler, "step", None)):
        raise TrialError(f"its factory returns a {type(scheduler).__name__}, which has no step()")
    monitored = (1.0,) if entry.component.monitor else ()
    rates = [_rate(optimizer)]
    for _ in range(2 * STEPS):
        optimizer.step()
        scheduler.step(*monitored)
        rates.append(_rate(optimizer))
    if not all(0 <= rate < float("inf") for rate in rates):
        raise TrialError(f"it sets the rates {', '.join(f'{rate:g}' for rate in rates)}")
    state = scheduler.state_dict()
    if not isinstance(state, dict):
        raise TrialError("its state_dict() is not a dictionary, so no run goes on from it")
    return {}


def _rate(optimizer: torch.optim.Optimizer) -> float:
    return float(optimizer.param_groups[0]["lr"])


def _try_model(entry: RegistryEntry[Any], example: dict[str, Any]) -> Found:
    """A batch of pictures gives a tensor of one number for each class; without memory for weights where that works.

    1,000 models would take hours with it.
    """
    size = example.pop(SIZE, (3, 64, 64))
    try:
        device = torch.device("meta")
        model = _on(device, entry, example)
        output = model(torch.zeros(2, *size, device=device))
    except Exception:  # what it computes of the values of its inputs needs values
        model = _on(CPU, entry, example)
        output = model(torch.zeros(2, *size))
    if not isinstance(output, Tensor):
        raise TrialError(f"it returns a {type(output).__name__}; a tensor is needed")
    if tuple(output.shape[:2]) != (2, CLASSES):
        raise TrialError(f"it gives {tuple(output.shape)} for 2 pictures of {CLASSES} classes")
    return {}


def _on(device: torch.device, entry: RegistryEntry[Any], example: Mapping[str, Any]) -> torch.nn.Module:
    with device:
        model = build(entry, example)
    if not isinstance(model, torch.nn.Module):
        raise TrialError(f"its factory returns a {type(model).__name__}, which is not a torch.nn.Module")
    return model.eval()


_TRIALS: dict[str, Callable[[RegistryEntry[Any], dict[str, Any]], Found]] = {
    "loss": try_loss,
    "optimizer": try_optimizer,
    "scheduler": _try_scheduler,
    "metric": try_metric,
    "model": _try_model,
}
