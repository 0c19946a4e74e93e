"""The cells of a comparison while they run."""

from __future__ import annotations

import io

import pytest
from rich.console import Console

from lossreg.training.display.cells import CellTable


@pytest.fixture
def console() -> Console:
    """A terminal that keeps what is printed."""
    return Console(file=io.StringIO(), record=True, force_terminal=True, width=80, height=12, _environ={})


def rows(console: Console) -> list[list[str]]:
    """The words of the lines that were shown since the last call."""
    return [line.split() for line in console.export_text().splitlines() if line.strip()]


def test_a_terminal_shows_a_table_of_the_cells(console: Console) -> None:
    """Each cell has its status, its epoch and its metric; the foot counts them."""
    with CellTable(["sgd(lr=0.1)", "adam"], "test_accuracy", epochs=4, console=console) as table:
        table.update("adam", status="running", epoch=1, metric=0.12345)
        rows(console)
        table.update("sgd(lr=0.1)", status="failed")
        head, first, second, *foot = rows(console)
    assert head == ["cell", "status", "epoch", "test_accuracy", "time"]
    assert first == ["sgd(lr=0.1)", "failed"]
    assert second[:4] == ["adam", "running", "1/4", "0.1235"]
    assert foot[0] == ["2", "cells:", "1", "failed,", "1", "running"]


def test_cells_that_run_are_shown_before_others(console: Console) -> None:
    """Where not all fit, those that run are there, then those that ended last."""
    labels = [f"cell{number}" for number in range(40)]
    with CellTable(labels, "test_loss", console=console) as table:
        for label in labels[:8]:
            table.update(label, status="finished")
        table.update("cell30", status="running")
        rows(console)
        table.update("cell31", status="running")
        shown = [row[0] for row in rows(console)[1:-1]]
    assert shown == ["cell4", "cell5", "cell6", "cell7", "cell30", "cell31"]


def test_a_label_is_text(console: Console) -> None:
    """Nothing in a label is markup, moves the cursor or starts a line."""
    with CellTable(["[red]a\x1b[2J\n"], "test_loss", console=console) as table:
        table.update("[red]a\x1b[2J\n", status="running")
        assert "[red]a\\x1b[2J\\n" in console.export_text()


def test_without_a_terminal_each_change_is_a_line() -> None:
    """A cell that begins, and one that is over; epochs between them are none."""
    stream = io.StringIO()
    with CellTable(["a", "b\x1b"], "test_loss", epochs=2, stream=stream) as table:
        table.update("a", status="running")
        table.update("a", epoch=1, metric=0.5)
        table.update("b\x1b", status="skipped")
        table.update("a", status="failed")
        table.line("a\nnote")
    lines = stream.getvalue().splitlines()
    assert lines[:2] == ["[0/2] running   a", "[1/2] skipped   b\\x1b"]
    assert lines[2].startswith("[2/2] failed    a  epoch 1/2  test_loss 0.5  0:")
    assert lines[3] == "a\\nnote"


def test_a_cell_that_runs_again_is_counted_once() -> None:
    """A cell that is tried anew is no longer over."""
    stream = io.StringIO()
    with CellTable(["a", "b"], "test_loss", stream=stream) as table:
        for status in ("running", "failed", "running", "finished"):
            table.update("a", status=status)
    assert [line.split()[0] for line in stream.getvalue().splitlines()] == ["[0/2]", "[1/2]", "[0/2]", "[1/2]"]


def test_a_quiet_table_writes_nothing() -> None:
    """Neither changes nor lines."""
    stream = io.StringIO()
    with CellTable(["a"], "test_loss", quiet=True, stream=stream) as table:
        table.update("a", status="running")
        table.line("a note")
    assert stream.getvalue() == ""


def test_a_stream_that_cannot_be_written_to_is_no_error() -> None:
    """What is shown is a courtesy."""
    stream = io.StringIO()
    stream.close()
    with CellTable(["a"], "test_loss", stream=stream) as table:
        table.update("a", status="running")
