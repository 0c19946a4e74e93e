"""The command with a stdout or stderr that is closed, full, not read, or has another encoding."""

from __future__ import annotations

import errno
import io
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import lossreg
from lossreg.cli.main import main

RUN = ["run", "--epochs", "1", "--limit-train", "64", "--limit-test", "32", "--quiet", "--out", "out"]


def unread() -> Any:
    """A pipe whose reader went away."""
    reader, writer = os.pipe()
    os.close(reader)
    return os.fdopen(writer, "w")


def ends_with(*arguments: str) -> object:
    """The exit code of a command."""
    with pytest.raises(SystemExit) as exit_info:
        main(arguments)
    return exit_info.value.code


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_a_result_that_is_not_read_is_no_failure(monkeypatch: pytest.MonkeyPatch) -> None:
    """A good run ends with 0 although the reader of stdout (`| head -1`) went away."""
    with unread() as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert ends_with(*RUN) == 0


def test_a_result_that_has_no_room_is_an_error(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Where stdout is full, the result is not whole: exit code 1 and one line, although the run is finished."""
    with Path("/dev/full").open("w") as device:
        monkeypatch.setattr(sys, "stdout", device)
        assert ends_with(*RUN) == 1
    said = capsys.readouterr().err
    assert said == f"lossreg: error: stdout cannot be written to: OSError: [Errno 28] {os.strerror(errno.ENOSPC)}\n"
    assert json.loads(Path("out", "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("encoding", ["latin-1", "ascii", "cp437"])
def test_a_name_that_the_encoding_lacks_is_no_error(monkeypatch: pytest.MonkeyPatch, encoding: str) -> None:
    """A result with an arrow and a snowman is shown, whatever the encoding of stdout."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding=encoding)
    monkeypatch.setattr(sys, "stdout", stream)
    assert ends_with(*RUN[:-1], "a→☃") == 0
    stream.flush()
    shown = stream.buffer.getvalue()
    assert b"test_accuracy" in shown
    assert b"a\\u2192\\u2603" in shown or "a→☃".encode() in shown  # click writes UTF-8 where it is ASCII


def test_closed_descriptors_end_no_run(warm_python: str, tmp_path: Path) -> None:
    """`<&- >&- 2>&-`: the run is finished, with exit code 0, and no file of the run takes a descriptor's place."""
    command = f"exec {warm_python} -m lossreg {' '.join(RUN)} <&- >&- 2>&-"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, check=False)
    assert result.returncode == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "finished"


def test_progress_and_result_without_a_reader_end_no_run(warm_python: str, tmp_path: Path) -> None:
    """`2>&1 | head -1`: the run is finished, with exit code 0."""
    command = f"{warm_python} -m lossreg {' '.join(RUN).replace('--quiet', '')} 2>&1 | head -1; exit ${{PIPESTATUS[0]}}"
    result = subprocess.run(["bash", "-c", command], cwd=tmp_path, capture_output=True, check=False)
    assert result.returncode == 0
    assert json.loads((tmp_path / "out" / "run.json").read_text())["status"] == "finished"


@pytest.mark.parametrize("error", [EOFError("Ran out of input"), BrokenPipeError(32, "Broken pipe")])
def test_an_error_of_a_component_is_not_taken_for_a_signal_or_a_reader(
    capsys: pytest.CaptureFixture[str], error: Exception
) -> None:
    """A model that raises EOFError or BrokenPipeError fails the run, with 1 and its traceback."""
    import torch

    class Failing(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = torch.nn.Linear(784, 10)

        def forward(self, images: torch.Tensor) -> torch.Tensor:
            if self.training and Path("out", "run.json").exists():
                raise error
            return self.linear(images.flatten(1))  # type: ignore[no-any-return]  # nn.Module's call is not annotated

    registered = type(error).__name__.lower()
    lossreg.models.register(registered)(Failing)
    assert ends_with(*RUN, "--model", registered) == 1
    shown = capsys.readouterr().err
    assert "Traceback" in shown
    assert shown.splitlines()[-1].startswith(f"lossreg: error: the run failed: {type(error).__name__}")
