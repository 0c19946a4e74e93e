"""`lossreg verify-resume` lets honest parts pass, and names those that keep state to themselves."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.table import for_each_apart

if TYPE_CHECKING:
    from tests.conftest import Command
    from tests.lossreg.conftest import CommandWith

STRANGERS = '''
"""Parts of a stranger."""
import threading

import lossreg
import torch
from torch import nn
from torch.optim import SGD

MEMORY = {"steps": 0}


class Leaky(SGD):
    """A momentum that state_dict() does not have."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr)
        self._cache = {}

    def step(self, closure=None):
        for group in self.param_groups:
            for number, one in enumerate(group["params"]):
                self._cache[number] = 0.9 * self._cache.get(number, torch.zeros_like(one)) + one.grad
                one.grad = self._cache[number].clone()
        return super().step(closure)


class Remembering(SGD):
    """A rate that goes by a global of the module."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr)

    def step(self, closure=None):
        MEMORY["steps"] += 1
        self.param_groups[0]["lr"] = 0.01 * MEMORY["steps"]
        return super().step(closure)


class Counting(SGD):
    """Counts its steps for a person; nothing goes by it."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr)
        self.taken = 0

    def step(self, closure=None):
        self.taken += 1
        return super().step(closure)


class Locked(SGD):
    """Its state holds a lock."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr)

    def step(self, closure=None):
        for one in self.param_groups[0]["params"]:
            self.state[one]["lock"] = threading.Lock()
        return super().step(closure)


class Forgetful(SGD):
    """Does not take back its momentum."""

    def __init__(self, params, lr=0.05):
        super().__init__(params, lr=lr, momentum=0.9)

    def load_state_dict(self, state):
        super().load_state_dict({**state, "state": {}})


class Warming(nn.Module):
    """A loss that grows with its calls."""

    def __init__(self):
        super().__init__()
        self.calls = 0

    def forward(self, output, target):
        self.calls += self.training
        return nn.functional.cross_entropy(output, target) * (1 + 0.1 * self.calls)


for kind in (Leaky, Remembering, Counting, Locked, Forgetful):
    lossreg.optimizers.register(kind.__name__.lower(), needs=(), closure=False, modes=False)(kind)
lossreg.losses.register("warming", target="index", averages="sample")(Warming)
'''
SMALL = ("--model", "mlp", "--device", "cpu", "--precision", "32", "--loss", "cross_entropy")


@pytest.fixture(scope="module")
def strangers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file with a stranger's parts; one for all tests, since a process has one module of a name."""
    file = tmp_path_factory.mktemp("strangers") / "strangers.py"
    file.write_text(STRANGERS)
    return file


def test_honest_parts_pass(lossreg_command: Command, tmp_path: Path) -> None:
    """Moments and a schedule by steps: nothing differs, and nothing stays on the disk."""
    outcome = lossreg_command(
        *("verify-resume", *SMALL, "--opt", "adamw(lr=0.01)", "--sched", "one_cycle(max_lr=0.1)", "--json")
    )
    found = json.loads(outcome.out)
    assert outcome.code == 0, outcome.err
    assert found["equal"] is True
    assert found["differences"] == []
    assert all(found["compared"].values())
    assert {"weights of the model", "state of the optimizer", "rows of metrics.jsonl"} <= {*found["compared"]}
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("option", "name", "said"),
    [
        ("--opt", "leaky", "the optimizer strangers.Leaky keeps `_cache` outside of its state_dict()"),
        ("--opt", "remembering", "of the optimizer keeps `MEMORY` outside of any state_dict()"),
        ("--loss", "warming", "the loss strangers.Warming keeps `calls` outside of its state_dict()"),
        ("--opt", "forgetful", "the state of the optimizer after the resume differs: state.1.weight.momentum_buffer"),
    ],
)
def test_what_keeps_state_to_itself_is_named(
    command_with: CommandWith, strangers: Path, option: str, name: str, said: str
) -> None:
    """In an attribute, in a global of its module, in a loss, or by a load_state_dict() that drops it."""
    usual = [one for one in SMALL if option != "--loss" or one not in ("--loss", "cross_entropy")]
    given = (*usual, option, name, "--steps", "3", "--more", "4")
    outcome = command_with("verify-resume", "-p", str(strangers), *given, path=strangers.parent)
    assert outcome.returncode == 1, outcome.stderr
    assert said in outcome.stdout
    assert outcome.stdout.endswith("the resumed run is another run\n")


def test_what_changes_no_result_is_no_fault(command_with: CommandWith, strangers: Path) -> None:
    """A counter that nothing goes by."""
    outcome = command_with("verify-resume", "-p", str(strangers), *SMALL, "--opt", "counting", path=strangers.parent)
    assert outcome.returncode == 0, outcome.stdout + outcome.stderr


def test_a_state_that_cannot_be_written_is_named(command_with: CommandWith, strangers: Path) -> None:
    """Before anything is trained."""
    outcome = command_with("verify-resume", "-p", str(strangers), *SMALL, "--opt", "locked", path=strangers.parent)
    assert outcome.returncode == 1, outcome.stderr
    assert (
        "the state of the optimizer cannot be kept in a checkpoint: state.0.lock is a lock (_thread)" in outcome.stdout
    )


@for_each_apart(
    ("given", "said"),
    [
        (("--max-steps", "3"), "max_steps (--max-steps) has no effect"),
        (("--steps", "0"), "steps (--steps) is a number of steps, at least 1, not 0"),
        (("--epochs", "1", "--steps", "6"), "the run has 6 steps (1 epochs of 6)"),
    ],
)
def test_wrong_use_is_refused(lossreg_command: Command, given: tuple[str, ...], said: str) -> None:
    """With exit code 2 and what is wrong."""
    outcome = lossreg_command("verify-resume", *SMALL, *given)
    assert outcome.code == 2
    assert said in outcome.err
