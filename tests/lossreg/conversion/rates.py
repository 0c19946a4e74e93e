"""What converted settings make of rates and groups, by the door through which hosts get them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch

import lossreg


def built(settings: Mapping[str, Any], model: torch.nn.Module, epochs: int, steps: int = 1) -> tuple[Any, Any]:
    """Optimizer and schedule of settings."""
    parts = lossreg.parts(
        {key: value for key, value in settings.items() if key not in ("loss", "epochs")},
        epochs=epochs, steps_per_epoch=steps,
    )  # fmt: skip
    optimizer = parts.optimizer(model)
    return optimizer, parts.scheduler(optimizer)


def options(optimizer: Any, model: torch.nn.Module) -> dict[str, dict[str, Any]]:
    """Parameter -> the options that an optimizer has for it."""
    names = {id(parameter): name for name, parameter in model.named_parameters()}
    return {
        names[id(parameter)]: {key: value for key, value in group.items() if key != "params"}
        for group in optimizer.param_groups
        for parameter in group["params"]
    }


def rates(settings: Mapping[str, Any], epochs: int, steps: int = 1, model: torch.nn.Module | None = None) -> list[Any]:
    """The rate of each parameter in each step of a training."""
    model = torch.nn.Linear(2, 1) if model is None else model
    optimizer, scheduler = built(settings, model, epochs, steps)
    found = []
    for epoch in range(epochs):
        for step in range(steps):
            own = options(optimizer, model)
            found.append([own[name]["lr"] for name, _ in model.named_parameters()])
            last = (epoch, step) == (epochs - 1, steps - 1)
            if scheduler is not None and not last and (scheduler.interval == "step" or step == steps - 1):
                optimizer.step()
                scheduler.step()
    return found
