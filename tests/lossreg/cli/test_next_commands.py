"""After a run it is said what is worth calling next."""

from __future__ import annotations

import shlex
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from tests.conftest import Command

SMALL = ("--epochs", "1", "--limit-train", "64", "--limit-test", "64")


def next_lines(err: str) -> list[str]:
    """The commands that are named."""
    return [line.removeprefix("next: ") for line in err.splitlines() if line.startswith("next: ")]


def test_the_commands_name_the_run_from_here(lossreg_command: Command, tmp_path: Path) -> None:
    """A directory below the working directory is named from there, and quoted for a shell."""
    outcome = lossreg_command("run", *SMALL, "--out", "my runs/a")
    words = [shlex.split(line)[:4] for line in next_lines(outcome.err)]
    assert words[0][:3] == ["lossreg", "report", "my runs/a"]
    assert words[1] == ["lossreg", "predict", "my runs/a", "FILE"]
    assert words[2] == ["lossreg", "run", "-c", "my runs/a/run.json"]
    assert "test_accuracy" in outcome.out
    assert "next" not in outcome.out


def test_the_command_for_a_repeat_repeats_the_run(lossreg_command: Command) -> None:
    """What is said can be called."""
    outcome = lossreg_command("run", *SMALL, "--out", "a")
    repeat = shlex.split(next_lines(outcome.err)[2])[1:4]
    again = lossreg_command(*repeat, "--out", "b", "--quiet")
    assert again.code == 0
    rows = [line for line in outcome.out.splitlines() if line.startswith(("test_", "train_"))]
    assert [line for line in again.out.splitlines() if line.startswith(("test_", "train_"))] == rows


@pytest.mark.parametrize("options", [("--quiet",), ("--json",)])
def test_quiet_and_json_name_nothing(lossreg_command: Command, options: tuple[str, ...]) -> None:
    """Who asks for silence, or for JSON, reads no advice."""
    assert next_lines(lossreg_command("run", *SMALL, *options).err) == []
