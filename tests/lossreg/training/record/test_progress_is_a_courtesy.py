"""Progress never ends a run: whatever stderr is, the run is trained and recorded."""

from __future__ import annotations

import io
import json
import os
import pty
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import lossreg

SMALL: dict[str, Any] = {"epochs": 2, "limit_train": 64, "limit_test": 32, "device": "cpu", "log_every": 1}


class Mute:
    """What some programs put in the place of stderr: it can write, and nothing else."""

    def write(self, text: str) -> None:
        """Takes the text."""


class Broken:
    """A replacement whose every method raises."""

    def write(self, text: str) -> None:
        """Raises."""
        raise RuntimeError("no")

    flush = isatty = write


def full() -> Any:
    """A device without room."""
    return Path("/dev/full").open("w", buffering=1)


def closed() -> Any:
    """A closed file."""
    stream = io.StringIO()
    stream.close()
    return stream


def unread() -> Any:
    """A pipe whose reader went away."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w", buffering=1)


def lost_terminal() -> Any:
    """A terminal that is gone; what is written to it is an error of input and output."""
    leader, follower = pty.openpty()
    stream = os.fdopen(follower, "w", buffering=1)
    os.close(leader)
    return stream


@pytest.fixture
def finished(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[Any], None]:
    """Runs with something in the place of stderr, and checks that the run is finished and recorded."""

    def check(stderr: Any) -> None:
        monkeypatch.setattr(sys, "stderr", stderr)
        lossreg.run(**SMALL, out=tmp_path / "run")
        monkeypatch.undo()
        assert json.loads((tmp_path / "run" / "run.json").read_text())["status"] == "finished"
        assert (tmp_path / "run" / "model.safetensors").exists()
        if hasattr(stderr, "fileno") and not isinstance(stderr, io.StringIO):
            os.dup2(os.open(os.devnull, os.O_WRONLY), stderr.fileno())  # its buffer can be emptied now
            stderr.close()

    return check


@pytest.mark.parametrize(
    "make", [lambda: None, Mute, Broken, full, closed, unread, lost_terminal],
    ids=["none", "no isatty", "broken", "full", "closed", "unread", "lost terminal"],
)  # fmt: skip
def test_a_stderr_that_cannot_be_written_to_ends_no_run(
    finished: Callable[[Any], None], make: Callable[[], Any]
) -> None:
    """The run is finished, and its weights are kept."""
    finished(make())


def test_a_terminal_that_goes_away_in_the_middle_ends_no_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A progress bar that has begun falls silent, and the run goes on."""
    leader, follower = pty.openpty()

    class Hangup:
        def lossreg_logged(self, run: lossreg.Run, record: dict[str, Any]) -> None:
            if record["step"] == 1:
                os.close(leader)

    with os.fdopen(follower, "w", buffering=1) as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        result = lossreg.run(**SMALL, out=tmp_path / "run", observers=[Hangup()])
        monkeypatch.undo()
        os.dup2(os.open(os.devnull, os.O_WRONLY), follower)
    assert len(result.metrics) == 2


def test_nothing_of_the_progress_goes_to_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Without a stderr, the progress is not printed to stdout instead."""
    monkeypatch.setattr(sys, "stderr", None)
    lossreg.run(**SMALL, out=tmp_path / "run")
    assert capsys.readouterr().out == ""


def test_what_an_encoding_lacks_is_escaped(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A name with a snowman is shown as an escape on a latin-1 stderr, and the progress goes on."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="latin-1", write_through=True)
    monkeypatch.setattr(sys, "stderr", stream)
    lossreg.run(**SMALL, out=tmp_path / "☃")
    shown = stream.buffer.getvalue().decode("latin-1")
    assert "\\u2603" in shown
    assert "epoch 1" in shown
