"""Optimizers with modes: `train()` gives the parameters the values to train with, `eval()` those to evaluate.

A schedule-free optimizer takes its gradients at other weights than those that it is about, and some refuse to step when
they were never switched to training.
"""

from __future__ import annotations

from typing import Protocol, TypeGuard


class HasModes(Protocol):
    """What an optimizer with modes has in addition."""

    def train(self) -> object:
        """Gives the parameters the values to train with."""

    def eval(self) -> object:
        """Gives them the values to evaluate."""


def has_modes(optimizer: object) -> TypeGuard[HasModes]:
    """Whether an optimizer has both methods."""
    return all(callable(getattr(optimizer, name, None)) for name in ("train", "eval"))


def set_training_mode(optimizer: object) -> None:
    """Switches an optimizer with modes to training; any other stays as it is."""
    if has_modes(optimizer):
        optimizer.train()
