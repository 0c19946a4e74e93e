"""Paths of directories are as short as they can be, and lead where they led."""

from __future__ import annotations

from pathlib import Path

import pytest

from lossreg.cli.output import next_commands
from lossreg.training.record.directory import absolute_path


def test_nothing_goes_up_and_down(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Folders that need not exist are left out together with the `..` behind them."""
    (tmp_path / "bad").mkdir()
    monkeypatch.chdir(tmp_path / "bad")
    assert absolute_path("../bad/../runs/nl") == tmp_path / "runs" / "nl"
    assert absolute_path("gone/../a") == tmp_path / "bad" / "a"
    assert absolute_path("a") == tmp_path / "bad" / "a"


def test_a_link_leads_where_it_led(tmp_path: Path) -> None:
    """What is above a link's target is not what is above the link; a link itself stays one."""
    (tmp_path / "far" / "deep").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "far" / "deep")
    assert absolute_path(tmp_path / "link" / ".." / "a") == (tmp_path / "far" / "a").resolve()
    assert absolute_path(tmp_path / "x" / ".." / "link" / "a") == tmp_path / "link" / "a"


def test_commands_name_a_run_from_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """From the working directory where that is shorter, also if the run is beside it."""
    (tmp_path / "work").mkdir()
    monkeypatch.chdir(tmp_path / "work")
    assert next_commands(tmp_path / "runs" / "a", is_repeatable=False)[0].split()[:3] == [
        "lossreg", "report", "../runs/a",
    ]  # fmt: skip
    assert next_commands(Path("/r"), is_repeatable=False)[0].split()[:3] == ["lossreg", "report", "/r"]


def test_at_most_three_lines_name_what_a_run_is_good_for(tmp_path: Path) -> None:
    """The page, the curves, predictions, an evaluation and a repeat."""
    lines = next_commands(tmp_path, is_repeatable=True)
    assert len(lines) == 3
    for command in ("report", "plot", "predict", "eval", "run -c"):
        assert f"lossreg {command}" in " ".join(lines)
