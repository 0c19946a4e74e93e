"""Runs that end by the number of their steps or by the clock."""

from __future__ import annotations

import json
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from safetensors.torch import load_file
from torch import nn
from torch.nn import functional

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from tests.conftest import Command
    from tests.lossreg.training.conftest import Run, Samples, Weights

USUAL: dict[str, Any] = {
    "loss": "cross_entropy", "optimizer": "sgd(lr=0.05)", "epochs": 3, "batch_size": 16, "limit_train": 64,
    "limit_test": 50, "model": "mlp",
}  # 4 steps an epoch  # fmt: skip
HOUR = 3600.0


def record(directory: Path) -> dict[str, Any]:
    """The run.json of a run."""
    content: dict[str, Any] = json.loads((directory / "run.json").read_text())
    return content


class Clock:
    """An observer that has an hour go by at a step."""

    def __init__(self, step: int) -> None:
        self._step = step

    def lossreg_logged(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
        """Says that the run has taken an hour more."""
        if record["step"] == self._step:
            run.seconds_before += HOUR


class Slow:
    """An observer after whose epoch an hour has gone by."""

    def lossreg_epoch_finished(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
        """Says that the run has taken an hour more."""
        run.seconds_before += HOUR


@for_each("steps", [1, 3, 4, 6, 11])
def test_a_run_ends_after_so_many_steps(run: Run, weights: Weights, digits: Samples, steps: int) -> None:
    """Its weights are those of a loop by hand that takes as many, with the rates of a run of all epochs."""
    torch.manual_seed(5)
    model = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    result = run(**{**USUAL, "model": model}, scheduler="linear", max_steps=steps)
    torch.manual_seed(5)
    by_hand = nn.Sequential(nn.Flatten(), nn.Linear(784, 10))
    optimizer = torch.optim.SGD(by_hand.parameters(), lr=0.05, momentum=0.9, fused=True)
    schedule = lossreg.schedulers.build("linear", optimizer, total_iters=3)
    order = [torch.from_numpy(np.random.default_rng([0, epoch]).permutation(64)) for epoch in range(3)]
    for step in range(steps):
        if step and step % 4 == 0:
            schedule.step()
        chosen = order[step // 4][step % 4 * 16 :][:16]
        optimizer.zero_grad()
        functional.cross_entropy(by_hand(digits[0][chosen]), digits[1][chosen]).backward()
        optimizer.step()
    assert weights(by_hand).equal(weights(result.model))
    content = record(result.directory)
    assert (content["status"], content["stopped_by"], content["steps_done"]) == ("stopped", "max_steps", steps)
    assert result.reason == f"max_steps is reached: {steps} steps are done"
    assert [row["step"] for row in result.metrics] == [min(4 * epoch + 4, steps) for epoch in range(-(-steps // 4))]
    assert result.final["test_accuracy"] >= 0


@for_each("limits", [{"max_steps": 12}, {"max_steps": 1000}, {"max_time": "1h"}])
def test_a_limit_that_is_not_in_the_way_changes_nothing(run: Run, limits: dict[str, Any], weights: Weights) -> None:
    """A run that takes its last step is finished, whatever the limit."""
    result, without = run(**USUAL, **limits), run(**USUAL)
    assert (result.reason, record(result.directory)["status"]) == (None, "finished")
    assert weights(result.model).equal(weights(without.model))


@for_each("step", [1, 4, 7])
def test_a_run_ends_when_its_time_is_over(run: Run, step: int) -> None:
    """The step after which the time is over is the last; the run is evaluated and recorded."""
    result = run(**USUAL, max_time="1h", log_every=1, observers=[Clock(step)])
    content = record(result.directory)
    assert (content["status"], content["stopped_by"], content["steps_done"]) == ("stopped", "max_time", step)
    assert result.reason == f"max_time is over: 1h, after {step} steps"
    assert content["metrics"]["step"] == step
    assert content["spec"]["max_time"] == "1h"


def test_time_that_is_over_in_the_last_step_stops_nothing(run: Run) -> None:
    """A run that was done anyway is finished."""
    result = run(**USUAL, max_time="1h", log_every=1, observers=[Clock(12)])
    assert record(result.directory)["status"] == "finished"


def test_time_that_an_observer_takes_counts(run: Run) -> None:
    """What comes after the last row of an epoch counts for the first step of the next one."""
    result = run(**USUAL, max_time="1h", observers=[Slow()])
    assert record(result.directory)["steps_done"] == 5


def test_the_limit_that_is_reached_first_counts(run: Run) -> None:
    """Of several limits one ends the run, and is named."""
    result = run(**USUAL, max_time="1h", max_steps=6, log_every=1, observers=[Clock(6)])
    assert record(result.directory)["stopped_by"] == "max_steps"
    result = run(**USUAL, max_time="1h", max_steps=6, log_every=1, observers=[Clock(5)])
    assert record(result.directory)["stopped_by"] == "max_time"


def test_patience_keeps_the_best_weights_of_a_run_that_ends_by_steps(run: Run) -> None:
    """The epoch that the limit cut short is evaluated, and can be the best."""
    result = run(**USUAL, validate=0.25, patience=3, max_steps=4)
    assert (result.best_epoch, record(result.directory)["stopped_by"]) == (1, "max_steps")
    assert [row["step"] for row in result.metrics] == [3, 4]


def test_a_repeat_ends_at_the_same_step(lossreg_command: Command, tmp_path: Path) -> None:
    """A repeat of a run that max_steps ended says nothing, and has the same weights."""
    small = ("--model", "mlp", "--limit-train", "64", "--limit-test", "8", "--precision", "32", "--quiet")
    first = lossreg_command("run", *small, "--batch-size", "16", "--max-steps", "3", "--out", "first")
    assert first.code == 0, first.err
    second = lossreg_command("run", "-c", "first", "--quiet", "--out", "second")
    assert (second.code, second.err) == (0, "")
    states = [load_file(tmp_path / name / "model.safetensors") for name in ("first", "second")]
    assert all(value.equal(states[1][name]) for name, value in states[0].items())
    assert record(tmp_path / "second")["steps_done"] == 3


def test_a_repeat_of_a_run_that_the_clock_ended_warns(
    run: Run, lossreg_command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    """It says which options end it at the same step."""
    result = run(**USUAL, max_time="1h", log_every=1, observers=[Clock(2)])
    with caplog.at_level(logging.WARNING, "lossreg"):
        outcome = lossreg_command("plan", "-c", str(result.directory))
    assert outcome.code == 0, outcome.err
    assert "--max-steps 2 --max-time none ends it at the same one" in outcome.err + caplog.text


def test_the_command_line_takes_both(lossreg_command: Command) -> None:
    """`--max-steps` and `--max-time` are settings like others; other trainers' words are refused with them."""
    outcome = lossreg_command("plan", "--max-steps", "3", "--max-time", "90s", "--json")
    spec = json.loads(outcome.out)["spec"]
    assert (spec["max_steps"], spec["max_time"]) == (3, "1m30s")
    outcome = lossreg_command("run", "--max-time", "soon")
    assert (outcome.code, "max_time (--max-time) is a time such as" in outcome.err) == (2, True)
    outcome = lossreg_command("run", "--max-iters", "3")
    assert (outcome.code, "Did you mean '--max-steps'?" in outcome.err) == (2, True)


TOGETHER = """
import json, os, sys, lossreg

class Clock:
    def lossreg_logged(self, run, record):
        if record["step"] == 5:
            run.seconds_before += 3600

rank = os.environ["RANK"]
usual = dict(model="mlp", epochs=100000, batch_size=16, limit_train=64, limit_test=8, precision="32", quiet=True)
for limit in ({"max_time": "1h", "log_every": 5}, {"max_steps": 6}):
    observers = [Clock()] if rank == "0" and "max_time" in limit else []
    result = lossreg.run(out=next(iter(limit)), observers=observers, **usual, **limit)
    print(json.dumps([rank, result.reason, result.final["step"]]), file=open(f"{rank}-{next(iter(limit))}", "w"))
"""


def test_several_processes_end_at_the_same_step(tmp_path: Path, two_processes: Callable[[str], None]) -> None:
    """By the clock of the main process, and by steps."""
    two_processes(TOGETHER)
    for limit, said in (("max_time", "max_time is over: 1h"), ("max_steps", "max_steps is reached: 6 steps")):
        (_, reason, step), (_, _, other) = (json.loads((tmp_path / f"{rank}-{limit}").read_text()) for rank in "01")
        assert reason.startswith(said)
        assert step == other == record(tmp_path / limit)["steps_done"]
    assert record(tmp_path / "max_time")["stopped_by"] == "max_time"
