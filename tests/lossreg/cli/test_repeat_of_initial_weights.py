"""A repeat of a run that began with the weights of another one: whether these are still the same."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from safetensors.torch import load_file, save_file

if TYPE_CHECKING:
    from tests.conftest import Command

SMALL = (
    "--model", "mlp", "--limit-train", "64", "--limit-test", "8", "--epochs", "1", "--device", "cpu", "--quiet",
)  # fmt: skip


@pytest.fixture
def tuned(lossreg_command: Command) -> Path:
    """The weights with which the run in `tuned` began."""
    assert lossreg_command("run", *SMALL, "--out", "first").code == 0
    assert lossreg_command("run", *SMALL, "--init-from", "first", "--out", "tuned").code == 0
    return Path("first/model.safetensors").absolute()


@pytest.mark.usefixtures("tuned")
def test_the_same_weights_are_nothing_to_say(lossreg_command: Command) -> None:
    """The repeat is the run."""
    outcome = lossreg_command("run", "-c", "tuned", "--quiet", "--out", "again")
    assert (outcome.code, outcome.err) == (0, "")
    first, again = (json.loads(Path(name, "run.json").read_text())["metrics"] for name in ("tuned", "again"))
    assert again["train_loss"] == first["train_loss"]


def test_weights_that_have_changed_are_a_warning(lossreg_command: Command, tuned: Path) -> None:
    """In plan and run, with the file."""
    weights = load_file(tuned)
    save_file({name: value + 1 for name, value in weights.items()}, tuned)
    said = f"tuned/run.json began with other weights (init_from) than are in {Path('first/model.safetensors')} now"
    planned = lossreg_command("plan", "-c", "tuned")
    ran = lossreg_command("run", "-c", "tuned", "--quiet", "--out", "again")
    assert (planned.code, ran.code) == (0, 0)
    assert said in planned.out + planned.err
    (warning,) = [line for line in ran.err.splitlines() if line.startswith("lossreg: warning:")]
    assert said in warning


@pytest.mark.usefixtures("tuned")
def test_another_choice_is_what_was_asked_for(lossreg_command: Command) -> None:
    """With an option, other weights are no surprise; without any, nor are new ones."""
    assert lossreg_command("run", *SMALL, "--seed", "1", "--out", "second").code == 0
    for option in ("second", "none"):
        outcome = lossreg_command("run", "-c", "tuned", "--init-from", option, "--quiet", "--out", f"from-{option}")
        assert (outcome.code, outcome.err) == (0, "")
