"""A schedule that is stepped before each epoch: its rates, also after a stop."""

from __future__ import annotations

import math
import warnings
from typing import Any

import pytest
import torch

import lossreg
from lossreg.adapters.before_epochs import BeforeEpochs
from tests.table import for_each

COSINE = [(1 + math.cos(math.pi * epoch / 4)) / 2 for epoch in range(4)]


def made(scheduler: str | None = "cosine", epochs: int = 4) -> tuple[BeforeEpochs, torch.optim.Optimizer]:
    """A schedule and its optimizer."""
    parts = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler=scheduler, epochs=epochs)
    optimizer = parts.optimizer(torch.nn.Linear(1, 1))
    return BeforeEpochs(parts, optimizer), optimizer


@for_each("numbered", [True, False])
def test_rates_are_those_of_their_epochs(numbered: bool) -> None:
    """The first call changes nothing, the last sets the rate of the last epoch; with numbers as without."""
    scheduler, optimizer = made()
    rates = []
    for epoch in range(4):
        scheduler.step(epoch) if numbered else scheduler.step()
        rates += scheduler.get_last_lr()
        optimizer.step()
    assert rates == pytest.approx(COSINE)
    assert scheduler.last_epoch == 3


@for_each("start", [1, 2, 3])
@for_each("numbered", [True, False])
def test_a_training_goes_on(start: int, numbered: bool) -> None:
    """A new schedule, for an optimizer whose rates are those of a checkpoint, has the rates of a training in one go."""
    _, past = made()
    scheduler, optimizer = made()
    state: dict[str, Any] = past.state_dict()
    state["param_groups"][0].update(lr=COSINE[start - 1], initial_lr=1.0)
    optimizer.load_state_dict(state)
    scheduler.last_epoch = start - 1
    rates = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # torch's, of schedules before the first step, which these trainers silence
        for epoch in range(start, 4):
            scheduler.step(epoch) if numbered else scheduler.step()
            rates += scheduler.get_last_lr()
            optimizer.step()
    assert rates == pytest.approx(COSINE[start:])


def test_a_constant_rate() -> None:
    """Without a scheduler the trainer has something to step all the same."""
    scheduler, _ = made(scheduler=None)
    scheduler.step()
    assert scheduler.get_last_lr() == [1.0]


@for_each(
    ("scheduler", "wanted"),
    [
        ("one_cycle(max_lr=1.0)", r"one_cycle_lr\(max_lr=1\.0\) counts steps"),
        ("plateau(monitor='dice')", "follows dice, and the trainer steps it before each epoch"),
    ],
)
def test_what_such_a_trainer_cannot_step(scheduler: str, wanted: str) -> None:
    """Schedules that count steps or follow a metric are refused by name."""
    with pytest.raises(lossreg.ConfigError, match=wanted):
        made(scheduler)
