"""What a run shows on a terminal, and where it shows plain lines instead."""

from __future__ import annotations

import os
import pty
import re
import sys
import termios
import threading
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, TextIO

import pytest

import lossreg
from lossreg.training.display.counter import Counter

if TYPE_CHECKING:
    from tests.lossreg.training.conftest import Run

COLOUR = re.compile(r"\x1b\[[0-9;]*[39][0-9](?:;[0-9;]*)?m")


class Terminal:
    """A terminal that keeps what it is sent."""

    def __init__(self) -> None:
        self._leader, follower = pty.openpty()
        termios.tcsetwinsize(follower, (24, 100))
        self.stream: TextIO = os.fdopen(follower, "w", buffering=1)
        self._kept: list[bytes] = []
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._leader, 65536)
            except OSError:  # it was closed
                return
            if not data:
                return
            self._kept.append(data)

    def close(self) -> str:
        """What was sent to it."""
        self.stream.close()
        self._reader.join()
        os.close(self._leader)
        return b"".join(self._kept).decode()


@pytest.fixture
def on_terminal(run_table: Run, monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Trains with a terminal for stderr, and says what was sent to it."""

    def shown(**arguments: Any) -> str:
        terminal = Terminal()
        with monkeypatch.context() as patch:
            patch.setattr(sys, "stderr", terminal.stream)
            try:
                run_table(**{"quiet": False, "log_every": 1, **arguments})
            finally:
                assert sys.stderr is terminal.stream
                text = terminal.close()
        return text

    monkeypatch.setenv("TERM", "xterm-256color")
    for name in ("NO_COLOR", "FORCE_COLOR", "COLUMNS"):
        monkeypatch.delenv(name, raising=False)
    return shown


def test_a_terminal_shows_a_display(on_terminal: Callable[..., str]) -> None:
    """Bars, in colours, and at the end only the lines that stay."""
    text = on_terminal(epochs=2)
    assert "epochs 0/2" in text
    assert "━" in text
    assert COLOUR.search(text)
    assert "epoch 1  step 2" in text
    assert "epoch 0  step 1  lr" in text  # the line of the epoch; that of the step is in the display
    assert text.count("epoch 0  step 1") == 1


def test_no_color_is_without_colours(on_terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """NO_COLOR leaves the display, and takes its colours."""
    monkeypatch.setenv("NO_COLOR", "1")
    text = on_terminal()
    assert "epochs 0/1" in text
    assert COLOUR.search(text) is None


def test_a_dumb_terminal_has_plain_lines(on_terminal: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Where the cursor cannot be moved, each step that is logged is a line."""
    monkeypatch.setenv("TERM", "dumb")
    text = on_terminal()
    assert "\x1b" not in text
    assert "epochs" not in text.replace("epochs: 1", "")
    assert text.count("epoch 0  step 1") == 2


def test_quiet_shows_nothing(on_terminal: Callable[..., str]) -> None:
    """On a terminal, too."""
    assert on_terminal(quiet=True) == ""


def test_a_run_that_fails_leaves_the_terminal_in_order(run_table: Run, monkeypatch: pytest.MonkeyPatch) -> None:
    """The display is taken away, the cursor is there, and stderr is what it was."""

    class Fails:
        def lossreg_epoch_finished(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            raise ValueError("no")

    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal.stream)
        with pytest.raises(ValueError, match="no"):
            run_table(quiet=False, observers=[Fails()])
        assert sys.stderr is terminal.stream
    text = terminal.close()
    assert text.rfind("\x1b[?25h") > text.rfind("\x1b[?25l")


def test_warnings_stand_above_the_display(on_terminal: Callable[..., str]) -> None:
    """What is written to stderr in the middle of a run is a line of its own."""

    class Warns:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            sys.stderr.write("mind the gap\n")

    assert "mind the gap\r\n" in on_terminal(observers=[Warns()])


def test_rich_is_imported_for_a_terminal_alone(cold: Mapping[str, Any]) -> None:
    """A run whose stderr is a pipe does not import it."""
    assert "rich" not in cold["ran"]
    assert "epoch 0" in cold["shown"]


def test_counted_work_has_a_bar_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading that takes more than two seconds is shown on a terminal, and takes itself away."""
    monkeypatch.setenv("TERM", "xterm-256color")
    terminal = Terminal()
    with monkeypatch.context() as patch:
        patch.setattr(sys, "stderr", terminal.stream)
        with Counter(1000, "reading samples") as counter:
            counter.add(100)
            patch.setattr("lossreg.training.display.counter._PATIENCE", 0)
            counter.add(400)
        with Counter(1000, "quiet work", quiet=True) as counter:
            counter.add(400)
    text = terminal.close()
    assert "reading samples" in text
    assert "500/1,000" in text
    assert "quiet work" not in text
