"""What tests share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import attrs
import pytest

from lossreg.cli.main import main


@attrs.frozen
class Outcome:
    """How a command ended.

    Attributes:
        code: The exit code.
        out: What it wrote to stdout.
        err: What it wrote to stderr.
    """

    code: int
    out: str
    err: str


#: Distributions of their own, installed by the tests of discovery.
collect_ignore = ["packages"]

Command = Callable[..., Outcome]


@pytest.fixture
def lossreg_command(capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Command:
    """Runs `lossreg` in this process, in an empty working directory; returns exit code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: str) -> Outcome:
        capsys.readouterr()
        with pytest.raises(SystemExit) as exit_info:
            main(arguments)
        captured = capsys.readouterr()
        code = exit_info.value.code
        return Outcome(code if isinstance(code, int) else 0, captured.out, captured.err)

    return run


@pytest.fixture(scope="session")
def mnist_root() -> Path:
    """The folder that holds the real MNIST."""
    folder = os.environ.get("LOSSREG_DATA")
    if not folder or not Path(folder, "MNIST", "raw").is_dir():
        pytest.skip("LOSSREG_DATA does not name a folder with the real MNIST (MNIST/raw)")
    return Path(folder)
