"""Limits below what a run has done already, and runs that were killed as they ended."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.resume.conftest import Ending, Finish

STEPS = 4  # of an epoch


def files(directory: Path) -> dict[Path, bytes]:
    """What a directory holds."""
    return {one: one.read_bytes() for one in directory.rglob("*") if one.is_file()}


@pytest.mark.parametrize(
    ("first", "then", "said"),
    [
        ({}, {"max_steps": 5}, "max_steps is 5 (--max-steps), but 8 steps are done already"),
        ({}, {"max_steps": 8, "epochs": 5}, "max_steps is 8 (--max-steps), but 8 steps are done already"),
        ({}, {"epochs": 1}, "epochs is 1 (--epochs), but 2 epochs are done already"),
        ({}, {}, "has come to its end: all of its 2 epochs are done; with more epochs (--epochs) it goes on"),
        ({"max_steps": 5}, {"max_steps": 3}, "max_steps is 3 (--max-steps), but 5 steps are done already"),
        ({"max_steps": 5}, {}, "has come to its end (max_steps is reached: 5 steps are done)"),
    ],
)
def test_less_than_is_done_is_refused(finish: Finish, first: Any, then: Any, said: str) -> None:
    """With what is done; no file is changed."""
    directory = finish(epochs=2, **first).result.directory
    before = files(directory)
    with pytest.raises(lossreg.ConfigError) as refused:
        finish(resume=directory, **then)
    assert said in str(refused.value)
    assert files(directory) == before


def test_more_is_taken_afterwards(finish: Finish, same: Callable[[Ending, Ending], None]) -> None:
    """A run that has come to its end goes on with more epochs and more steps, or with no greatest number of steps."""
    whole = finish(epochs=3)
    short = finish(epochs=2)
    longer = finish(resume=short.result.directory, epochs=3, max_steps=9)
    assert longer.state["steps"] == 9
    same(finish(resume=short.result.directory, max_steps=None), whole)


@pytest.mark.parametrize(
    "settings",
    [{"max_steps": 2 * STEPS}, {"max_steps": STEPS + 1}, {"patience": 1, "validate": 0.3}, {"target": "test_loss<=9"}],
    ids=lambda settings: "-".join(map(str, settings)),
)
def test_a_run_that_was_killed_as_it_ended_ends_there(
    finish: Finish, same: Callable[[Ending, Ending], None], settings: dict[str, Any]
) -> None:
    """What goes on from its last checkpoint trains no step more than the run would have."""
    usual = {"epochs": 6, "optimizer": "sgd(lr=3.0)", **settings}
    whole = finish(**usual)
    assert whole.result.reason is not None
    directory = finish(**usual).result.directory
    record = json.loads((directory / "run.json").read_text())
    begun = {"status": "running", "reason": None, "stopped_by": None}
    (directory / "run.json").write_text(json.dumps({**record, **begun}))
    ended = finish(resume=directory)
    same(whole, ended)
    assert ended.result.reason == whole.result.reason
