"""A live area: drawn seldom, by no thread, and a courtesy."""

from __future__ import annotations

import io
import sys
import threading
import time
from collections.abc import Callable

import pytest
from rich.console import Console
from rich.text import Text

from lossreg.streams import ForgivingStream
from lossreg.training.display.area import LiveArea

Open = Callable[..., LiveArea]


@pytest.fixture
def console() -> Console:
    """A terminal of 80 columns that keeps what is printed."""
    return Console(file=io.StringIO(), record=True, force_terminal=True, width=80, height=20, _environ={})


@pytest.fixture
def open_area(console: Console) -> Open:
    """Opens an area on it."""

    def make(draw: Callable[[bool], Text] = lambda _: Text("area")) -> LiveArea:
        return LiveArea(ForgivingStream(io.StringIO()), draw, console)

    return make


def test_an_area_is_drawn_at_most_five_times_a_second(open_area: Open) -> None:
    """However often it is asked to."""
    drawn: list[float] = []

    def draw(blocks: bool) -> Text:
        drawn.append(time.perf_counter())
        return Text("area")

    area = open_area(draw)
    started = time.perf_counter()
    at_start = len(drawn)
    while time.perf_counter() - started < 0.5:
        area.refresh()
    elapsed = time.perf_counter() - started
    assert 1 <= len(drawn) - at_start <= 1 + elapsed / 0.2
    area.close()


def test_no_thread_draws(open_area: Open) -> None:
    """The interpreter is the training loop's."""
    before = threading.enumerate()
    area = open_area()
    area.refresh(now=True)
    assert threading.enumerate() == before
    area.close()


def test_lines_stay_above_the_area(open_area: Open, console: Console) -> None:
    """Lines, and what is written to stderr, are not part of what is drawn anew; nothing in them is markup."""
    area = open_area()
    area.line("a [bold]line[/bold] :smile: 12")
    sys.stderr.write("a warning\n")
    area.close()
    shown = console.export_text()
    assert "a [bold]line[/bold] :smile: 12\n" in shown
    assert "a warning\n" in shown


def test_long_lines_are_not_broken(open_area: Open, console: Console) -> None:
    """A path that is longer than the terminal is wide can still be copied."""
    area = open_area()
    area.line("x" * 200)
    area.close()
    assert "x" * 200 in console.export_text()


def test_the_standard_streams_are_given_back(open_area: Open) -> None:
    """After its end, stdout and stderr are what they were."""
    before = sys.stdout, sys.stderr
    area = open_area()
    assert sys.stdout is before[0]  # which is no terminal
    area.close()
    assert (sys.stdout, sys.stderr) == before


def test_the_cursor_is_seen_while_it_is_open(open_area: Open, console: Console) -> None:
    """A process that is killed leaves a terminal with a cursor."""
    area = open_area()
    written = console.file
    assert isinstance(written, io.StringIO)
    assert written.getvalue().rfind("\x1b[?25h") > written.getvalue().rfind("\x1b[?25l")
    area.close()


def test_an_error_of_drawing_ends_the_area_alone(open_area: Open) -> None:
    """Lines are written as before, and the standard streams are given back."""
    before = sys.stderr
    stream = io.StringIO()

    def draw(blocks: bool) -> Text:
        raise ValueError("no")

    area = LiveArea(ForgivingStream(stream), draw, Console(file=io.StringIO(), force_terminal=True))
    assert not area.is_open
    assert sys.stderr is before
    area.refresh(now=True)
    area.line("a line")
    area.close()
    assert stream.getvalue() == "a line\n"
