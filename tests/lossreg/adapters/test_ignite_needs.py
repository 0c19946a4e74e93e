"""What optimizers need beside gradients, with Ignite: modes are switched, the rest is refused by name."""

from __future__ import annotations

import logging
from typing import Any

import pytest
import torch

import lossreg
from tests.lossreg.embedding.needing import Averaged, Curved, One
from tests.table import for_each

pytest.importorskip("ignite", reason="pytorch-ignite is not installed (pip install 'lossreg[hosts]')")

from ignite.engine import Engine, Events, create_supervised_trainer  # behind the check that it is there

from lossreg.adapters.ignite import PartsScheduler

BATCH = (torch.ones(2, 1), torch.zeros(2, 1))


def made(optimizer: Any) -> tuple[lossreg.HostParts, One, Any, Any]:
    """Parts, a model, its optimizer and Ignite's own trainer."""
    parts, model = lossreg.parts(loss="mse", task="regression", optimizer=optimizer), One()
    built = parts.optimizer(model)
    trainer = create_supervised_trainer(model, built, parts.loss)
    trainer.logger.setLevel(logging.CRITICAL)
    return parts, model, built, trainer


@for_each(
    ("optimizer", "wanted"),
    [
        ("lbfgs", r"builtin.lbfgs computes the loss again .* \(closure\), which the supervised trainer of Ignite"),
        ("sam(sgd)", r"sam\(.*\) computes the loss again in its steps \(closure\), which the supervised trainer"),
        (Curved, r"Curved differentiates gradients \(create_graph\), which the supervised trainer of Ignite does"),
    ],
)
def test_what_the_supervised_trainer_does_not_do_is_refused(optimizer: Any, wanted: str) -> None:
    """Where the schedule is attached, or, without one, in the first step: always by the name of the optimizer."""
    parts, _, built, trainer = made(optimizer)
    with pytest.raises(lossreg.ConfigError, match=wanted):
        PartsScheduler(parts, built).attach(trainer)
    with pytest.raises(lossreg.ConfigError, match=r"closure|create_graph"):
        trainer.run([BATCH], max_epochs=1)


def test_an_update_of_ones_own_may_give_a_closure() -> None:
    """Only the function that Ignite has written is known not to."""
    parts, model, built, _ = made("lbfgs(line_search_fn='strong_wolfe')")

    def update(engine: Any, batch: Any) -> None:
        del engine

        def closure() -> torch.Tensor:
            built.zero_grad()
            loss: torch.Tensor = parts.loss(model(batch[0]), batch[1])
            loss.backward()
            return loss

        built.step(closure)

    trainer = Engine(update)
    PartsScheduler(parts, built).attach(trainer)
    trainer.run([BATCH], max_epochs=1)
    assert model.w.item() == pytest.approx(0.0, abs=1e-6)


def test_modes_are_switched_around_each_epoch() -> None:
    """Each step halves w. All handlers of an epoch's end, and what comes later, see the mean of the steps."""
    parts, model, built, trainer = made(Averaged)
    seen: list[float] = []

    def note() -> None:
        seen.append(model.w.item())

    trainer.add_event_handler(Events.EPOCH_COMPLETED, note)
    PartsScheduler(parts, built).attach(trainer)
    trainer.run([BATCH, BATCH], max_epochs=2)
    steps = [0.5**step for step in range(1, 5)]
    assert seen == [sum(steps[:2]) / 2, sum(steps) / 4] == pytest.approx([0.375, 0.234375])
    assert model.w.item() == seen[-1]
    built.train()
    assert model.w.item() == steps[-1]


def seen_after_epochs(act: str) -> list[float]:
    """What handlers see after each of 3 epochs of 4 iterations, where a trainer does something in the first of them."""
    parts, model, built, trainer = made(Averaged)
    seen: list[float] = []

    def note() -> None:
        seen.append(model.w.item())

    trainer.add_event_handler(Events.EPOCH_COMPLETED, note)
    PartsScheduler(parts, built).attach(trainer)
    if act == "load_state_dict":
        trainer.load_state_dict({"iteration": 2, "epoch_length": 4, "max_epochs": 3})
    else:
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), lambda: getattr(trainer, act)())
    trainer.run([BATCH] * 4, max_epochs=3)
    if trainer.state.epoch < 3:
        trainer.run([BATCH] * 4, max_epochs=3)
    return seen


@for_each(
    ("act", "counts"),
    [
        ("terminate_epoch", (2, 6, 10)),
        ("terminate", (6, 10)),  # Ignite goes on with the next epoch, of 4 iterations
        ("interrupt", (4, 8, 12)),
        ("load_state_dict", (2, 6, 10)),  # of a checkpoint within the epoch
    ],
)
def test_modes_are_those_of_the_epochs_that_there_are(act: str, counts: tuple[int, ...]) -> None:
    """The last iteration of an epoch need be no multiple of its length; what is seen is the mean of so many steps."""
    means = [sum(0.5**step for step in range(1, count + 1)) / count for count in counts]
    assert seen_after_epochs(act) == pytest.approx(means)


def test_an_epoch_that_is_ended_early_ends_in_evaluation() -> None:
    """No iteration is the last then, and the trainer may end with it."""
    for end in ("terminate_epoch", "terminate"):
        parts, model, built, trainer = made(Averaged)
        PartsScheduler(parts, built).attach(trainer)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), getattr(trainer, end))
        trainer.run([BATCH] * 4, max_epochs=1)
        assert built.is_mean
        assert model.w.item() == 0.375
