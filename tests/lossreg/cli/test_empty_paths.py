"""An empty path, such as that of a variable of the shell that is not set, is wrong use: it stands for no default."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

import lossreg

if TYPE_CHECKING:
    from tests.conftest import Command


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (("runs", ""), "DIR is empty; name a folder of runs, or leave it out"),
        (("compare", "--model", "mlp", "--out", ""), "out (--out) is empty; name a directory, or leave it out"),
        (("compare", "--dry-run", "--out", ""), "out (--out) is empty; name a directory, or leave it out"),
        (("noise", "--model", "mlp", "--out", ""), "out (--out) is empty; name a directory, or leave it out"),
        (("plan", "--plot", ""), "--plot is empty; name a file, or leave the option out"),
        (("show", "loss", "dice", "--plot", ""), "--plot is empty; name a file, or leave the option out"),
    ],
)  # fmt: skip
def test_an_empty_path_is_an_error(
    line: tuple[str, ...], said: str, lossreg_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One line, exit code 2, and nothing is written."""
    monkeypatch.chdir(tmp_path)
    outcome = lossreg_command(*line)
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"lossreg: error: {said}")
    assert outcome.err.count("\n") == 1
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ({"out": ""}, r"out \(--out\) is empty"),
        ({"out": 3}, "out is the path of a directory, or None, not 3"),
        ({"quiet": "no"}, "quiet is True or False, not 'no'"),
        ({"plots": "no"}, "plots is True or False, not 'no'"),
    ],
)
def test_compare_checks_its_arguments_as_run_does(
    arguments: dict[str, object], said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An empty path would otherwise be the working directory."""
    monkeypatch.chdir(tmp_path)
    with pytest.raises(lossreg.ConfigError, match=said):
        lossreg.compare(**arguments)  # type: ignore[arg-type]  # wrong on purpose
    assert list(tmp_path.iterdir()) == []
