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


def test_an_epoch_that_is_ended_early_ends_in_evaluation() -> None:
    """No iteration is the last then, and the trainer may end with it."""
    for end in ("terminate_epoch", "terminate"):
        parts, model, built, trainer = made(Averaged)
        PartsScheduler(parts, built).attach(trainer)
        trainer.add_event_handler(Events.ITERATION_COMPLETED(once=2), getattr(trainer, end))
        trainer.run([BATCH] * 4, max_epochs=1)
        assert built.is_mean
        assert model.w.item() == 0.375
