"""Progress on a terminal is text: nothing in it moves the cursor."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    import pytest

    from tests.lossreg.training.conftest import Run


def test_a_path_with_control_characters_is_escaped(
    run_table: Run, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The name of a run directory is shown with its control characters escaped."""
    result = run_table(out=tmp_path / "red\x1b[31m", quiet=False)
    shown = capsys.readouterr().err
    assert "\x1b" not in shown
    assert "red\\x1b[31m" in shown
    assert result.directory.name == "red\x1b[31m"
