"""A run that is broken off and goes on, and the same run in one piece: what both end with is compared bit for bit."""

from __future__ import annotations

import itertools
import json
import signal
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Protocol

import attrs
import numpy as np
import pytest
import torch
from torch import Tensor

import lossreg
from lossreg import Data, RunResult
from lossreg.training.resume.optimizer_state import named_state
from lossreg.training.resume.schedule_state import schedule_state
from lossreg.training.seeds import generator_states

#: 4 steps an epoch, the last with fewer samples.
USUAL: dict[str, Any] = {
    "loss": "cross_entropy", "model": "mlp(hidden=[8])", "optimizer": "sgd(lr=0.1, momentum=0.9)", "epochs": 3,
    "batch_size": 10, "device": "cpu", "precision": "32", "quiet": True, "log_every": 1,
}  # fmt: skip
STEPS = 4
NEVER = 1000  # epochs between two checkpoints: what is there was written because a run ended
TIMES = {"seconds", "samples_per_second"}

Parts = Callable[[], dict[str, Any]]


@attrs.frozen
class Ending:
    """What a run ended with.

    Attributes:
        result: What `lossreg.run` returned.
        state: The states of all that goes on: weights, optimizer, schedulers, averages, generators.
        rows: metrics.jsonl without what the clock says.
        tested: The row of the test split of a run with a validation split, without what the clock says.
    """

    result: RunResult
    state: dict[str, Any]
    rows: list[dict[str, Any]]
    tested: dict[str, Any] | None


class Stop:
    """An observer that sends Ctrl-C to its own process once, after a step.

    Args:
        step: The step.
    """

    def __init__(self, step: int) -> None:
        self._step = step

    def lossreg_logged(self, run: lossreg.Run, record: Mapping[str, Any]) -> None:
        """Sends it."""
        if record["step"] == self._step:
            signal.raise_signal(signal.SIGINT)


class Watch:
    """An observer that keeps the states of a run at its end."""

    def __init__(self) -> None:
        self.state: dict[str, Any] = {}

    def lossreg_run_finished(self, run: lossreg.Run, result: RunResult) -> None:
        """Keeps them."""
        objective, optimization = run.parts.objective, run.parts.optimization
        self.state = {
            "model": {**objective.model.state_dict()},
            "loss": objective.loss_state(),
            "optimizer": named_state(optimization.optimizer, objective.named()),
            "schedule": schedule_state(optimization.schedule),
            "averages": run.parts.weights.state_dict(),
            "generators": generator_states(run.device),
            "evaluations": dict(run.parts.samples.evaluations),
            "steps": run.step,
        }


def rows_of(directory: Path) -> list[dict[str, Any]]:
    """The rows of metrics.jsonl, without what the clock says."""
    rows = [json.loads(line) for line in (directory / "metrics.jsonl").read_text().splitlines()]
    return [{key: value for key, value in row.items() if key not in TIMES} for row in rows]


def differences(one: Any, other: Any, place: str = "") -> list[str]:
    """The places at which two states differ, bit for bit."""
    if type(one) is not type(other):
        return [f"{place}: {type(one).__name__} and {type(other).__name__}"]
    if isinstance(one, Mapping):
        keys = [] if list(one) == list(other) else [f"{place}: the keys {list(one)} and {list(other)}"]
        return keys + [
            found for key in one if key in other for found in differences(one[key], other[key], f"{place}.{key}")
        ]
    if isinstance(one, list | tuple):
        lengths = [] if len(one) == len(other) else [f"{place}: {len(one)} and {len(other)} items"]
        return lengths + [
            found
            for number, pair in enumerate(zip(one, other, strict=False))
            for found in differences(*pair, f"{place}.{number}")
        ]
    if isinstance(one, Tensor):
        same = one.dtype == other.dtype and one.shape == other.shape and one.equal(other)
    else:
        same = bool(np.all(one == other))
    return [] if same else [f"{place}: {one} and {other}"]


class Exact(Protocol):
    """Runs in one piece, and broken off; see `exact`."""

    def __call__(self, at: int | Sequence[int], parts: Parts = dict, **settings: Any) -> Ending:
        """Checks that both end with the same.

        Args:
            at: The step after which the run is broken off; several, in turn.
            parts: Makes the Python objects among the settings, for each process anew.
            settings: What differs from the usual ones.

        Returns:
            What the run that was broken off ended with.
        """


def _ending(watch: Watch, result: RunResult) -> Ending:
    record = json.loads((result.directory / "run.json").read_text())
    tested = record.get("tested")
    return Ending(result, watch.state, rows_of(result.directory), tested)


@pytest.fixture
def blobs() -> Data:
    """40 samples of 3 classes for training, and 24 for testing."""
    generator = torch.Generator().manual_seed(0)
    inputs, targets = torch.randn(64, 6, generator=generator), torch.randint(3, (64,), generator=generator)
    inputs += targets[:, None]
    return Data((inputs[:37], targets[:37]), (inputs[37:], targets[37:]), "classification", (6,), num_classes=3)


Finish = Callable[..., Ending]


@pytest.fixture
def finish(tmp_path: Path, blobs: Data) -> Finish:
    """Trains to the end, in a new directory or as `resume` says, and gives what the run ended with."""
    number = itertools.count()

    def train(**settings: Any) -> Ending:
        watch = Watch()
        observers = [*settings.pop("observers", ()), watch]
        if "resume" in settings:
            return _ending(watch, lossreg.run(**{"quiet": True, "data": blobs, **settings, "observers": observers}))
        out = tmp_path / f"whole{next(number)}"
        return _ending(watch, lossreg.run(**{**USUAL, "data": blobs, "out": out, **settings, "observers": observers}))

    return train


BreakOff = Callable[..., Path]


@pytest.fixture
def break_off(tmp_path: Path, blobs: Data) -> BreakOff:
    """Trains until after a step, and gives the directory of the run, which can go on."""
    number = itertools.count()

    def train(at: int, **settings: Any) -> Path:
        out: Path = settings.get("resume") or tmp_path / f"broken{next(number)}"
        observers = [*settings.pop("observers", ()), Stop(at)]
        usual: dict[str, Any] = {"quiet": True, "data": blobs}
        if "resume" not in settings:
            usual |= {**USUAL, "checkpoint_every": NEVER, "out": out}
        with pytest.raises(KeyboardInterrupt):
            lossreg.run(**{**usual, **settings, "observers": observers})
        return out

    return train


@pytest.fixture
def same() -> Callable[[Ending, Ending], None]:
    """Checks that two runs have ended with the same, bit for bit."""

    def check(one: Ending, other: Ending) -> None:
        assert differences(one.state, other.state) == []
        assert differences(one.rows, other.rows) == []
        assert one.tested == other.tested
        assert one.result.best_epoch == other.result.best_epoch

    return check


@pytest.fixture
def exact(finish: Finish, break_off: BreakOff, same: Callable[[Ending, Ending], None]) -> Exact:
    """Checks that a run that is broken off ends with the bits of one in one piece, which writes no checkpoint."""

    def check(at: int | Sequence[int], parts: Parts = dict, **settings: Any) -> Ending:
        whole = finish(**{"checkpoint_every": None, **settings, **parts()})
        first, *others = [at] if isinstance(at, int) else at
        directory = break_off(first, **settings, **parts())
        for step in others:
            break_off(step, resume=directory, **parts())
        ended = finish(resume=directory, **parts())
        same(whole, ended)
        return ended

    return check
