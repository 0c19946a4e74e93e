"""Errors in the table [compare] of a file name the file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from tests.conftest import Command


@pytest.mark.parametrize(
    ("table", "said"),
    [
        ("loss = []", "loss is an empty list, so there is no cell to run; name a value, or leave it out"),
        ('loss = ["dice", 3]', "loss (--loss) is a spec text such as 'name(key=value)', not 3"),
        ('epochs = [1, "many"]', "epochs (--epochs) is a whole number"),
        ('loss = ["dice(", "l1"]', "'dice(' is not a spec"),
        ('"optimizer.lr" = []', "optimizer.lr is an empty list, so there is no cell to run"),
        ("optimizer.lr = [0.1, 0.2]", 'optimizer.lr is a parameter, whose key is in quotes: "optimizer.lr" = ...'),
        ('seed = [1, "x"]', "seed (--seed) is a whole number"),
    ],
)
def test_an_error_in_the_table_names_the_file(
    table: str, said: str, lossreg_command: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """And the table, in one line with exit code 2."""
    monkeypatch.chdir(tmp_path)
    Path("grid.toml").write_text(f"[compare]\n{table}\n")
    outcome = lossreg_command("compare", "-c", "grid.toml", "--dry-run")
    assert (outcome.code, outcome.out) == (2, "")
    assert outcome.err.startswith(f"lossreg: error: grid.toml: [compare]: {said}")
    assert outcome.err.count("\n") == 1
