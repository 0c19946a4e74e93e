"""Files that `--out` of a command names: what is there is replaced, unless it is of a record or read by the command."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lossreg
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

PAGE = b"<!DOCTYPE html>"


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """A run, an input for its model, and settings."""
    lossreg.run(out=tmp_path / "run", model="mlp", epochs=1, limit_train=32, limit_test=8, device="cpu", quiet=True)
    np.save(tmp_path / "in.npy", np.zeros((1, 28, 28), dtype=np.float32))
    (tmp_path / "run.toml").write_text("epochs = 3\n")
    return tmp_path


@for_each(("command", "name", "old"), [
    ("convert run.toml --to timm", "args.yaml", b"old"),
    ("convert run --to hydra", "train.yaml", b"old"),
    ("export run --to torchscript", "model.torchscript.pt", b"old"),
    ("plot run", "plot.svg", b"old"),
    ("predict run in.npy", "out.csv", b"old"),
    ("report run", "page.html", PAGE),
])  # fmt: skip
def test_what_is_there_is_replaced(command: str, name: str, old: bytes, past: Path, lossreg_command: Command) -> None:
    """By all commands alike, and nothing is left beside it."""
    (past / name).write_bytes(old)
    before = {one.name for one in past.iterdir()}
    made = lossreg_command(*command.split(), "--out", name)
    assert made.code == 0, made.err
    assert (past / name).read_bytes() not in (b"", old)
    assert {one.name for one in past.iterdir()} == before


@for_each("command", [
    "convert run.toml --to timm --out run.toml",
    "convert run.toml --to timm --out run/run.json",
    "convert run --to hydra --out run/metrics.jsonl",
    "convert run --to hydra --out run/checkpoints/x.yaml",
    "report run --out run/metrics.jsonl",
    "report run --out run.toml",
    "plot run --out run/metrics.jsonl",
])  # fmt: skip
def test_records_inputs_and_other_files_stay(command: str, past: Path, lossreg_command: Command) -> None:
    """Exit code 2, and each file is the same bytes."""
    before = {one: one.read_bytes() for one in past.rglob("*") if one.is_file()}
    refused = lossreg_command(*command.split())
    assert (refused.code, refused.out) == (2, ""), refused.err
    assert "--out" in refused.err
    assert {one: one.read_bytes() for one in past.rglob("*") if one.is_file()} == before


@for_each("command", ["convert", "export", "plot", "predict", "report"])
def test_the_help_says_so(command: str, lossreg_command: Command) -> None:
    """Beside what the option means."""
    words = " ".join(lossreg_command(command, "--help").out.split())
    assert "that is there is replaced" in words
