"""The doctor tries each component once, and finds what only shows then."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from tests.lossreg.conftest import CommandWith, Install

#: Component -> part of what the doctor says of it.
FAULTS = {
    "sick.scale": "it changes the model's output in place",
    "sick.leaf": "it changes the targets in place",
    "sick.marks": "reduction='none' is accepted and ignored: it gives a single number; reduction='sum' is accepted and",
    "sick.ignores": "reduction='none' is accepted and ignored",
    "sick.gaps": "it gives nan for a batch that lacks a class",
    "sick.claims": "averages='sample' is declared, but its values for the halves of a batch",
    "sick.detached": "its gradient cannot be computed",
    "sick.vector": "it gives shape (8,) for output (8, 3) and target (8,), torch.int64; a 0-d tensor is needed",
    "sick.typed": "the default scale='2' does not fit scale: float",
    "sick.still": "two steps with its defaults change no weight",
    "sick.panics": "optimizer panics cannot step on cpu: GeneratorExit: no step today",
    "sick.below": "it sets the rate -0.0",
    "sick.orphan": "its model does not exist: no model named 'a_model_of_nobody'",
}


def test_the_doctor_finds_the_fault_of_each_component(install: Install, command_with: CommandWith) -> None:
    """Each component of a plugin that loads well is told of its own fault, and of none other."""
    result = command_with("plugins", "doctor", "sick", "--json", path=install("sick"))
    assert result.returncode == 1, result.stderr
    (finding,) = json.loads(result.stdout)
    assert (finding["traceback"], finding["problem"]) == (None, None)
    problems: dict[str, Any] = {part["name"]: part["problem"] for part in finding["components"]}
    assert problems.keys() == FAULTS.keys()
    assert [name for name, said in FAULTS.items() if said not in (problems[name] or "")] == []


def test_the_doctor_shows_the_traceback_of_a_hook(install: Install, command_with: CommandWith) -> None:
    """A component hook that raises is shown with the line that raised, also where it raises no Exception."""
    result = command_with("plugins", "doctor", "bad-hook-raises", path=install("bad-hook-raises"))
    assert result.returncode == 1
    assert "problem     RuntimeError: no losses today" in result.stdout
    assert "Traceback (most recent call last)" in result.stdout
    assert 'raise RuntimeError("no losses today")' in result.stdout
    panics = command_with("plugins", "doctor", "bad-panic", path=install("bad-panic", folder="other"))
    assert panics.returncode == 1
    assert "PanicException: called `Option::unwrap()` on a `None` value" in panics.stdout


def test_what_a_plugin_prints_does_not_reach_the_doctor(install: Install, command_with: CommandWith) -> None:
    """A plugin that prints wherever it can is examined like any other."""
    result = command_with("plugins", "doctor", "talks", "--json", path=install("talks"))
    assert result.returncode == 0, result.stdout + result.stderr
    assert [part["problem"] for part in json.loads(result.stdout)[0]["components"]] == [None]


def test_the_built_ins_are_well(command_with: CommandWith, tmp_path: Path) -> None:
    """No trial has anything to say of a built-in component."""
    result = command_with("plugins", "doctor", "builtin", "--json", path=tmp_path)
    assert result.returncode == 0, result.stdout
    assert {part["problem"] for part in json.loads(result.stdout)[0]["components"]} == {None}
