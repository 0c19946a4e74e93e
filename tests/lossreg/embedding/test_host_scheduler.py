"""Schedules in the loop of a host: rates at every step, lengths, and going on from a state."""

from __future__ import annotations

import logging
import math
from typing import Any

import pytest
import torch

import lossreg
from lossreg.run_spec import Interval
from tests.table import for_each


def rates(scheduler: str, calls: int, each: Interval, **loop: int) -> list[float]:
    """The rate before each call of a host that steps its scheduler after each epoch or step."""
    parts = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler=scheduler, **loop)  # type: ignore[arg-type]  # counts alone
    optimizer = parts.optimizer(torch.nn.Linear(2, 1))
    built = parts.scheduler(optimizer, each=each)
    assert built is not None
    found = []
    for _ in range(calls):
        found += built.get_last_lr()
        optimizer.step()
        built.step()
    return [float(rate) for rate in found]


def test_an_epoch_schedule_counts_epochs_where_the_host_steps_after_each_step() -> None:
    """Half a cosine over 3 epochs of 2 steps: each epoch has one rate."""
    cosine = [0.5 * (1 + math.cos(math.pi * epoch / 3)) for epoch in range(3)]
    expected = [rate for rate in cosine for _ in range(2)]
    assert rates("cosine", 6, "step", epochs=3, steps_per_epoch=2) == pytest.approx(expected)


def test_an_epoch_schedule_that_cannot_count_epochs_is_refused() -> None:
    """It would be at rate 0 after as many batches as there are epochs."""
    with pytest.raises(lossreg.ConfigError, match=r"counts epochs.*steps_per_epoch=N"):
        rates("cosine", 1, "step", epochs=3)


def test_a_step_schedule_is_refused_where_the_host_steps_once_an_epoch() -> None:
    """It would move once an epoch."""
    with pytest.raises(lossreg.ConfigError, match="counts steps, and the loop steps it once an epoch"):
        rates("one_cycle(max_lr=1.0)", 1, "epoch", epochs=3, steps_per_epoch=2)


def test_no_rate_is_asked_for_after_the_last_epoch() -> None:
    """A schedule need not have one there: 1 / (epochs - epoch) is 1/3, 1/2, 1."""
    found = rates("lambda_lr(lr_lambda='1 / (epochs - epoch)')", 3, "epoch", epochs=3)
    assert found == pytest.approx([1 / 3, 1 / 2, 1])


def test_a_schedule_that_follows_a_metric_is_given_it() -> None:
    """The rate falls to a tenth after patience is over; its name is told."""
    parts = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler="reduce_lr_on_plateau(monitor='val_loss', patience=0)")
    optimizer = parts.optimizer(torch.nn.Linear(2, 1))
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    assert (scheduler.monitor, parts.monitor, scheduler.interval) == ("val_loss", "val_loss", "epoch")
    scheduler.step(1.0)
    scheduler.step(2.0)
    assert scheduler.get_last_lr() == [pytest.approx(0.1)]
    for wrong in ((), ("x",), ([1.0],), (torch.ones(2),)):
        with pytest.raises(TypeError, match=r"follows val_loss: call step\(value of val_loss\)"):
            scheduler.step(*wrong)
    assert scheduler.last_epoch == 2


def test_one_of_several_schedules_may_follow_a_metric() -> None:
    """`step(value)` is for all: cosine goes on each time, and the other rate falls once the value is no better."""
    parts = lossreg.parts(
        optimizer="muon(lr=1.0, scheduler=cosine, rest=sgd(lr=1.0))",
        scheduler="plateau(monitor='val_loss', patience=0)",
        epochs=3,
    )
    optimizer = parts.optimizer(torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3))))
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    assert scheduler.monitor == "val_loss"
    seen = [scheduler.get_last_lr()]
    for value in (1.0, 2.0):
        optimizer.step()
        scheduler.step(value)
        seen.append(scheduler.get_last_lr())
    assert [one[0] for one in seen] == pytest.approx([1.0, 0.75, 0.25])
    assert [one[-1] for one in seen] == pytest.approx([1.0, 1.0, 0.1])


def test_several_metrics_are_refused() -> None:
    """One value is given."""
    text = "muon(lr=1.0, scheduler=\"plateau(monitor='train_loss')\", rest=sgd)"
    parts = lossreg.parts(optimizer=text, scheduler="plateau(monitor='val_loss')")
    optimizer = parts.optimizer(torch.nn.Sequential(*(torch.nn.Linear(2, 2) for _ in range(3))))
    with pytest.raises(lossreg.ConfigError, match=r"follows val_loss and .* follows train_loss: .* gives one value"):
        parts.scheduler(optimizer)


def test_a_metric_schedule_is_refused_where_the_host_steps_after_each_step() -> None:
    """There is a metric once an epoch."""
    with pytest.raises(lossreg.ConfigError, match="follows test_loss, which there is once an epoch"):
        rates("reduce_lr_on_plateau", 1, "step", epochs=3, steps_per_epoch=2)


def test_without_a_scheduler_there_is_none() -> None:
    """A constant rate needs no object."""
    parts = lossreg.parts()
    assert parts.scheduler(parts.optimizer(torch.nn.Linear(2, 1))) is None


def started(epochs: int) -> tuple[torch.optim.Optimizer, lossreg.HostParts]:
    """Parts with half a cosine over some epochs."""
    parts = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler="cosine", epochs=epochs)
    return parts.optimizer(torch.nn.Linear(2, 1)), parts


@pytest.mark.parametrize("epochs", [4, 8])
def test_a_schedule_goes_on_from_a_state(epochs: int, caplog: pytest.LogCaptureFixture) -> None:
    """With as many epochs the rates are those of a straight run, with more those of the longer schedule."""
    optimizer, parts = started(4)
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    for _ in range(4 if epochs == 8 else 2):
        optimizer.step()
        scheduler.step()
    again, parts = started(epochs)
    resumed = parts.scheduler(again)
    assert resumed is not None
    again.load_state_dict(optimizer.state_dict())
    with caplog.at_level(logging.WARNING, "lossreg"):
        resumed.load_state_dict(scheduler.state_dict())
    done = 4 if epochs == 8 else 2
    assert resumed.get_last_lr() == [pytest.approx(0.5 * (1 + math.cos(math.pi * done / epochs)))]
    assert ("was made for 4 epochs and is now one for 8" in caplog.text) == (epochs == 8)


@for_each(
    "state",
    [
        {"last_epoch": 3},  # of a plain scheduler of torch
        {"calls": "x", "schedules": []},
        {"calls": 2, "schedules": [3]},
        {"calls": 2, "schedules": [{"text": "cosine"}]},
        None,
    ],
)
def test_what_is_not_the_state_of_a_schedule_is_refused(state: Any) -> None:
    """Also one that is damaged."""
    optimizer, parts = started(4)
    scheduler = parts.scheduler(optimizer)
    assert scheduler is not None
    with pytest.raises(lossreg.StateError, match=r"is not that of such a schedule of lossreg\.parts"):
        scheduler.load_state_dict(state)


@for_each("scheduler", ["cosine(eta_min=0.1)", "warmup(cosine, length=2)", "step_lr(step_size=1)"])
def test_the_state_of_another_text_is_refused(scheduler: str) -> None:
    """Where torch's schedulers would take it without a word; both texts are named."""
    optimizer, parts = started(4)
    saved = parts.scheduler(optimizer)
    other = lossreg.parts(optimizer="sgd(lr=1.0)", scheduler=scheduler, epochs=4).scheduler(optimizer)
    assert saved is not None
    assert other is not None
    with pytest.raises(lossreg.StateError, match=r"schedule cosine_annealing_lr, and this one is ") as caught:
        other.load_state_dict(saved.state_dict())
    assert scheduler.partition("(")[0] in str(caught.value)


def test_what_a_host_steps_after_is_an_epoch_or_a_step() -> None:
    """Another word is refused."""
    optimizer, parts = started(4)
    with pytest.raises(lossreg.ConfigError, match="'epoch' or 'step', not 'batch'"):
        parts.scheduler(optimizer, each="batch")  # type: ignore[arg-type]  # that is tested


def test_a_last_epoch_may_be_broken_off() -> None:
    """A schedule of steps goes over those that there are, one of epochs over all that begin."""
    loop = {"epochs": 2, "steps_per_epoch": 4, "total_steps": 6}
    assert rates("cosine", 6, "step", **loop) == pytest.approx([1.0] * 4 + [0.5] * 2)
    peer = torch.optim.SGD([torch.zeros(1)], lr=1.0)
    schedule = torch.optim.lr_scheduler.OneCycleLR(peer, max_lr=0.5, total_steps=6)
    expected = [peer.param_groups[0]["lr"]]
    for _ in range(5):
        peer.step()
        schedule.step()
        expected.append(peer.param_groups[0]["lr"])
    assert rates("one_cycle(max_lr=0.5)", 6, "step", **loop) == pytest.approx(expected)
