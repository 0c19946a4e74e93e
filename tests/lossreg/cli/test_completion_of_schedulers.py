"""Completion of schedulers within the spec of an optimizer."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.table import for_each

if TYPE_CHECKING:
    from tests.lossreg.cli.conftest import AskAll

LINES: list[tuple[list[str], list[str]]] = [
    (["run", "--opt", "sgd(sch"], ["sgd(scheduler="]),
    (["run", "--opt", "sgd(lr=0.1, scheduler=one"], ["sgd(lr=0.1, scheduler=one_cycle_lr"]),
    (["run", "--opt", "sgd(lr=0.1, scheduler=step_lr(ga"], ["sgd(lr=0.1, scheduler=step_lr(gamma="]),
    (["run", "--opt", "sgd(scheduler=step_lr(gamma=0.1), lr="], []),
    (["run", "--opt", "sgd(scheduler=step_lr())"], []),
    (["run", "--opt", "sgd(lr=one"], []),
    (["run", "--loss", "dice(sch"], []),
    (["run", "--opt.sch"], ["--opt.scheduler"]),
    (["run", "--opt.scheduler", "one"], ["one_cycle_lr"]),
    (["run", "--param-groups", "ndim>=2: sg"], ["ndim>=2: sgd"]),
    (["run", "--param-groups", "ndim>=2: sgd(scheduler=one"], ["ndim>=2: sgd(scheduler=one_cycle_lr"]),
    (["run", "--param-groups", "no"], ["no_decay"]),
]


@pytest.fixture(scope="module")
def answers(ask_without_torch: AskAll) -> list[str]:
    """What a process that cannot import torch answers; words with blanks are quoted as they are typed."""
    lines = [["lossreg", *(f'"{word}' if " " in word else word for word in words)] for words, _ in LINES]
    return ask_without_torch("bash", lines)


@for_each("index", range(len(LINES)), ids=lambda index: " ".join(LINES[index][0]))
def test_the_scheduler_of_an_optimizer_is_completed_without_torch(answers: list[str], index: int) -> None:
    """Names and parameters as behind `--sched`."""
    assert [line.partition(",")[2] for line in answers[index].splitlines() if line] == LINES[index][1]
