"""Ignite engines that run again, or go on from states that do not fit; schedules that would be stepped twice."""

from __future__ import annotations

import copy
import logging
import math
from typing import Any

import pytest
import torch

import lossreg
from tests.table import for_each

pytest.importorskip("ignite", reason="pytorch-ignite is not installed (pip install 'lossreg[hosts]')")

from ignite.engine import Engine, Events, create_supervised_trainer  # behind the check that it is there

from lossreg.adapters.ignite import PartsScheduler

BATCH = (torch.ones(2, 2), torch.tensor([0, 1]))


def nothing(engine: Any, batch: Any) -> None:
    """What an engine does that is not run."""


class Made:
    """A trainer with 2 batches an epoch; it notes the rates."""

    def __init__(self, scheduler: str | None = "cosine", evaluator: Any = None, interval: Any = None) -> None:
        self.parts = lossreg.parts(
            loss="dice", optimizer="sgd(lr=1.0)", scheduler=scheduler, scheduler_interval=interval
        )
        model = torch.nn.Linear(2, 3)
        self.optimizer: Any = self.parts.optimizer(model)
        self.trainer = create_supervised_trainer(model, self.optimizer, self.parts.loss)
        self.trainer.logger.setLevel(logging.CRITICAL)
        self.scheduler = PartsScheduler(self.parts, self.optimizer, evaluator=evaluator)
        self.scheduler.attach(self.trainer)
        self.rates: list[float] = []
        self.trainer.add_event_handler(Events.ITERATION_COMPLETED, self.note)

    def note(self) -> None:
        """After each iteration, which has trained with this rate."""
        self.rates.append(self.optimizer.param_groups[0]["lr"])

    def run(self, epochs: int | None = None) -> Made:
        """Trains."""
        self.trainer.run([BATCH] * 2, max_epochs=epochs)
        return self

    def states(self) -> dict[str, Any]:
        """What a checkpoint holds."""
        named: dict[str, Any] = {"optimizer": self.optimizer, "scheduler": self.scheduler, "trainer": self.trainer}
        return {name: copy.deepcopy(dict(one.state_dict())) for name, one in named.items()}

    def going_on_from(self, states: dict[str, Any], *, leave_out: str = "") -> Made:
        """The same with the states of a checkpoint."""
        named: dict[str, Any] = {"optimizer": self.optimizer, "scheduler": self.scheduler, "trainer": self.trainer}
        for name, one in named.items():
            if name != leave_out:
                one.load_state_dict(states[name])
        return self


def stopped(scheduler: str | None, *, iterations: int) -> dict[str, Any]:
    """The states after some iterations of 4 epochs."""
    made = Made(scheduler)
    made.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=iterations), lambda: made.trainer.terminate())
    return made.run(4).states()


@for_each("scheduler", ["cosine", "one_cycle(max_lr=0.5)", "step_lr(step_size=1)"])
def test_a_second_training_has_the_schedule_of_the_first(scheduler: str) -> None:
    """Ignite counts from the first epoch again."""
    made = Made(scheduler).run(2).run(2)
    assert made.rates[4:] == pytest.approx(made.rates[:4])


def test_more_epochs_are_the_rest_of_the_longer_schedule() -> None:
    """Ignite goes on counting then."""
    made = Made().run(2).run(4)
    cosine = [0.5 * (1 + math.cos(math.pi * epoch / 4)) for epoch in (2, 3)]
    assert made.rates[4::2] == pytest.approx(cosine)


@for_each("iterations", [4, 5])
def test_a_schedule_goes_on_where_the_trainer_does(iterations: int) -> None:
    """Between two epochs, and in the third, which Ignite begins again for the batches that are left."""
    straight = Made().run(4)
    resumed = Made().going_on_from(stopped("cosine", iterations=iterations)).run()
    assert resumed.rates == pytest.approx(straight.rates[iterations:])


@for_each(
    ("was", "now", "leave_out", "wanted"),
    [
        ("cosine", None, "", "that of the schedule cosine_annealing_lr, and this one is a constant rate"),
        (None, "cosine", "", "that of a constant rate, and this one is cosine_annealing_lr"),
        ("cosine", "cosine", "trainer", "the trainer begins with its first epoch: load the state of the trainer, too"),
        ("cosine", "cosine", "scheduler", "goes on after 4 iterations, and the schedule has no state"),
    ],
)
def test_states_that_do_not_fit_are_refused(was: str | None, now: str | None, leave_out: str, wanted: str) -> None:
    """The rates would be those of other epochs."""
    with pytest.raises(lossreg.StateError, match=wanted):
        Made(now).going_on_from(stopped(was, iterations=4), leave_out=leave_out).run()


def test_a_constant_rate_goes_on() -> None:
    """Without a word."""
    assert Made(None).going_on_from(stopped(None, iterations=4)).run().rates == [1.0] * 4


def test_a_checkpoint_has_the_metric_that_the_next_epoch_is_stepped_by() -> None:
    """In the process that goes on the evaluator has not run; without it the message says when a checkpoint has it."""
    texts = "reduce_lr_on_plateau(monitor='loss', patience=0)"
    values = [3.0, 2.0, 4.0, 1.0]  # the third is worse, after which the rate is a tenth

    def made(states: list[dict[str, Any]]) -> Made:
        evaluator = Engine(nothing)
        evaluator.logger.setLevel(logging.CRITICAL)
        one = Made(texts, evaluator)

        def evaluate() -> None:
            evaluator.run([0])
            states.append(one.states())

        def give() -> None:
            evaluator.state.metrics["loss"] = values[one.trainer.state.epoch - 1]

        evaluator.add_event_handler(Events.EPOCH_COMPLETED, give)
        one.trainer.add_event_handler(Events.EPOCH_COMPLETED, evaluate)
        return one

    states: list[dict[str, Any]] = []
    straight = made(states).run(4)
    assert straight.rates[::2] == pytest.approx([1.0, 1.0, 1.0, 0.1])
    for epochs in (1, 2, 3):
        resumed = made([]).going_on_from(states[epochs - 1]).run()
        assert resumed.rates == pytest.approx(straight.rates[2 * epochs :])
    del states[1]["scheduler"]["metric"]
    with pytest.raises(lossreg.ConfigError, match="if it is written after the evaluator has run"):
        made([]).going_on_from(states[1]).run()


@for_each(("interval", "places"), [("epoch", (0, 2, 2, 4, 4)), ("step", (0, 1, 2, 3, 4))])
def test_epochs_that_are_ended_early_count(interval: str, places: tuple[int, ...]) -> None:
    """Half a cosine over 3 epochs of 2 iterations, the first of which has but one; its places count iterations."""
    made = Made(interval=interval)
    made.trainer.add_event_handler(Events.ITERATION_COMPLETED(once=1), lambda: made.trainer.terminate_epoch())
    assert made.run(3).rates == pytest.approx([0.5 * (1 + math.cos(math.pi * place / 6)) for place in places])


def test_a_schedule_is_attached_once() -> None:
    """Not to the same trainer again, not to another one, nor by a second scheduler of the same optimizer."""
    made = Made()
    other = PartsScheduler(made.parts, made.optimizer)
    for scheduler, trainer in (
        (made.scheduler, made.trainer),
        (made.scheduler, Engine(nothing)),
        (other, made.trainer),
    ):
        with pytest.raises(lossreg.ConfigError, match="is attached to a trainer already, and would step twice"):
            scheduler.attach(trainer)
