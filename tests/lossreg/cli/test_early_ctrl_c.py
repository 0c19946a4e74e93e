"""Ctrl-C in the first tenths of a second of a command, while it is still being imported."""

from __future__ import annotations

import os
import subprocess
import sys
import tomllib
from pathlib import Path

import lossreg
from lossreg.__main__ import INTERRUPTED
from lossreg.training import stops
from tests.table import for_each

ROOT = Path(lossreg.__file__).parent.parent
PRESSED = "import signal\nsignal.raise_signal(signal.SIGINT)\n"


def script() -> str:
    """What the console script does that pip writes."""
    declared: str = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["scripts"]["lossreg"]
    module, _, function = declared.partition(":")
    return f"import sys; from {module} import {function}; sys.exit({function}())"


@for_each(
    "stand_in, arguments",
    [
        ("click", ["list"]),  # before there is a command
        ("pluggy", ["-c", script(), "list"]),
        ("torch", ["run", "--quiet"]),  # within one
    ],
)
def test_ctrl_c_during_an_import_ends_in_one_line(stand_in: str, arguments: list[str], tmp_path: Path) -> None:
    """The exit code is 130, and nothing is shown but the line that a later Ctrl-C shows."""
    folder = tmp_path / stand_in
    folder.mkdir()
    (folder / f"{stand_in}.py").write_text(PRESSED)
    command = arguments if arguments[0] == "-c" else ["-m", "lossreg", *arguments]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(folder), os.environ.get("PYTHONPATH", "")])}
    ended = subprocess.run(
        [sys.executable, *command], capture_output=True, text=True, check=False, cwd=folder, env=environment
    )
    assert (ended.returncode, ended.stdout, ended.stderr) == (130, "", "lossreg: stopped by Ctrl-C\n")
    assert not (folder / "runs").exists()


def test_the_code_is_that_of_a_later_ctrl_c() -> None:
    """The light module and the runner have one exit code."""
    assert INTERRUPTED == stops.INTERRUPTED
