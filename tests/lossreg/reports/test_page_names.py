"""A page is HTML, so it has no name of a picture."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.lossreg.reports.conftest import WriteRun

if TYPE_CHECKING:
    from tests.conftest import Command


@pytest.mark.parametrize("name", ["page.pdf", "page.png", "page.SVG"])
def test_a_name_of_a_picture_is_refused(name: str, lossreg_command: Command, write_run: WriteRun) -> None:
    """What opens the file by its name would not show it."""
    write_run("first")
    outcome = lossreg_command("report", "first", "--out", name)
    assert (outcome.code, outcome.out) == (2, "")
    assert (
        outcome.err == f"lossreg: error: {name} is not a name for a page, which is HTML; name page.html, for example\n"
    )
    assert not Path(name).exists()


@pytest.mark.parametrize("name", ["page.htm", "page", "runs.2026"])
def test_any_other_name_is_taken(name: str, lossreg_command: Command, write_run: WriteRun) -> None:
    """A page needs no ending."""
    write_run("first")
    assert lossreg_command("report", "first", "--out", name).code == 0
    assert Path(name).read_text().startswith("<!doctype html")
