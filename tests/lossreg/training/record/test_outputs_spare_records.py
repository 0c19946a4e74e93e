"""No command writes over the files of a run or a comparison, or over what it reads."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import pytest

import lossreg
from lossreg.comparison.directory import LOCK, TABLE
from lossreg.errors import ConfigError
from lossreg.past_runs import compare_json
from lossreg.training.record.directory import CLAIM
from lossreg.training.record.outputs import RECORDS, check_output, output_file
from lossreg.training.record.saved import LOSS, MODEL, OLD

if TYPE_CHECKING:
    from tests.conftest import Outcome


@pytest.fixture
def past(tmp_path: Path) -> Path:
    """A directory with what a run and a comparison leave."""
    for name in ("run.json", "metrics.jsonl", MODEL, "compare.json", TABLE, "checkpoints/step-1/manifest.json"):
        place = tmp_path / "past" / name
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text("as it was")
    return tmp_path / "past"


@pytest.mark.parametrize(
    "name",
    [
        *("run.json", "metrics.jsonl", MODEL, LOSS, *OLD.values(), CLAIM, compare_json.NAME, TABLE, LOCK),
        *("checkpoints/own.npy", "checkpoints/step-1/manifest.json", "../past/run.json", "../link/run.json"),
    ],
)
def test_no_output_takes_the_place_of_a_record(past: Path, name: str) -> None:
    """A file that a run or a comparison is read from is refused, whether it is there or not, and by any path."""
    (past.parent / "link").symlink_to(past)
    with pytest.raises(ConfigError, match=r"^--out .*; name another file$"):
        output_file(past / name, "--out")


@pytest.mark.parametrize("name", ["model.onnx", "curves.png", "report.html", "predictions.csv", "../run.json"])
def test_other_files_go_into_a_run_directory(past: Path, name: str) -> None:
    """What commands write by default, and names of one's own, are taken there; names of records are elsewhere."""
    check_output(past / name, "it")


def test_the_records_are_those_of_runs_and_comparisons() -> None:
    """The table has the names that the modules write to."""
    assert set(RECORDS["run.json"][1]) >= {MODEL, LOSS, *OLD.values(), CLAIM, "metrics.jsonl"}
    assert set(RECORDS[compare_json.NAME][1]) == {compare_json.NAME, TABLE, LOCK}


def test_the_commands_leave_records_and_inputs_as_they_were(
    lossreg_command: Callable[..., Outcome], tmp_path: Path
) -> None:
    """`predict` and `export` end with exit code 2, and each file is the same bytes."""
    lossreg.run(out=tmp_path / "run", model="mlp", epochs=1, limit_train=32, limit_test=8, device="cpu", quiet=True)
    np.save(tmp_path / "in.npy", np.zeros((1, 8, 8), dtype=np.float32))
    (tmp_path / "same.npy").symlink_to(tmp_path / "in.npy")
    files = [one for one in tmp_path.rglob("*") if one.is_file()]
    before = {one: one.read_bytes() for one in files}
    for command in (
        "predict run in.npy --out run/metrics.jsonl",
        "predict run in.npy --out in.npy",
        "predict run same.npy --out in.npy",
        "export run --to torchscript --out run/model.safetensors",
    ):
        outcome = lossreg_command(*command.split())
        assert (outcome.code, outcome.out) == (2, ""), command
        assert "name another file" in outcome.err, command
    assert {one: one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()} == before
