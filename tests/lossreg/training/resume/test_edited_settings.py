"""A run.json whose settings were edited by hand since the checkpoint was written."""

from __future__ import annotations

import json
import logging
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.lossreg.training.resume.conftest import BreakOff, Ending, Finish


def edit(directory: Path, **settings: Any) -> None:
    """Changes settings in run.json."""
    record = json.loads((directory / "run.json").read_text())
    record["spec"] |= settings
    (directory / "run.json").write_text(json.dumps(record))


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"seed": 5}, "seed was 0 and is 5"),
        ({"optimizer": "builtin.sgd(lr=0.5)"}, "optimizer was builtin.sgd(lr=0.1, momentum=0.9) and is builtin.sgd"),
    ],
)
def test_edited_settings_are_other_settings(
    finish: Finish, break_off: BreakOff, caplog: pytest.LogCaptureFixture, settings: Any, said: str
) -> None:
    """They are refused as those that are given anew, and taken by `override`."""
    directory = break_off(6)
    edit(directory, **settings)
    with pytest.raises(lossreg.ConfigError, match="cannot go on with other settings") as refused:
        finish(resume=directory)
    assert said in str(refused.value)
    with caplog.at_level(logging.WARNING, "lossreg"):
        finish(resume=directory, override=True)
    assert said in caplog.text
    finish(resume=directory, epochs=4)  # the checkpoints since are of these settings


def test_settings_that_may_change_may_be_edited(
    finish: Finish, break_off: BreakOff, same: Callable[[Ending, Ending], None]
) -> None:
    """Such as the number of epochs."""
    directory = break_off(6)
    edit(directory, epochs=4, keep=3)
    same(finish(epochs=4), finish(resume=directory))


def test_a_checkpoint_of_before_goes_on(
    finish: Finish, break_off: BreakOff, same: Callable[[Ending, Ending], None]
) -> None:
    """One whose manifest does not tell the settings, and whose state tells no classes."""
    from lossreg.checkpoints.folder import CheckpointFolder

    directory = break_off(6)
    folder = CheckpointFolder(directory / "checkpoints")
    checkpoint = folder.newest()
    state = checkpoint.read_state()
    del state["shared"]["optimizer"]["classes"]
    facts = {key: value for key, value in checkpoint.facts.items() if key != "spec"}
    folder.write(checkpoint.path.name, facts, {"model": checkpoint.read_weights("model")}, state)
    same(finish(), finish(resume=directory))
