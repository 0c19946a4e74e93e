"""Directories of comparisons that were changed by hand, or made to do harm."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import attrs
import pytest

import lossreg
from lossreg.comparison.directory import claimed, read_comparison
from lossreg.comparison.results import Attempt
from lossreg.training.record.reading import read_run
from lossreg.validation import Target


@pytest.mark.parametrize(
    "content",
    [
        "", "null", "[]", "{}", '{"format": 2, "cells": []}', '{"format": 1, "cells": {}}',
        '{"format": 1, "cells": [{"name": 3}]}', '{"format": 1, "cells": [3]}', "[" * 100_000, "1" * 10_000, "\udcff",
    ],
)  # fmt: skip
def test_a_compare_json_that_is_none_is_one_error(content: str, tmp_path: Path) -> None:
    """Cut off, of another format, nested too deep: a ConfigError that names the file."""
    (tmp_path / "compare.json").write_text(content, errors="surrogateescape")
    with pytest.raises(lossreg.ConfigError, match=r"compare\.json"):
        read_comparison(tmp_path)


def test_a_directory_is_left_as_it_was_where_nothing_is_written(tmp_path: Path) -> None:
    """What was made for a comparison that did not start goes, with its parents."""
    with claimed(tmp_path / "a" / "b"):
        assert (tmp_path / "a" / "b").is_dir()
    assert list(tmp_path.iterdir()) == []


def test_a_comparison_that_cannot_be_written_says_so(tmp_path: Path) -> None:
    """A RunFailedError that names the file, and nothing half-written."""
    with claimed(tmp_path / "out") as directory:
        (tmp_path / "out" / "compare.json").mkdir()
        with pytest.raises(lossreg.RunFailedError, match="cannot be written to"):
            directory.write({"cells": []})
        (tmp_path / "out" / "compare.json").rmdir()


def test_what_is_no_number_in_a_row_counts_as_missing(tmp_path: Path) -> None:
    """Text, lists and NaN in metrics.jsonl and in the final metrics."""
    rows: list[dict[str, Any]] = [
        {"kind": "epoch", "epoch": 0, "step": 1, "seconds": "long", "test_accuracy": "high"},
        {"kind": "epoch", "epoch": 1, "step": 2, "seconds": 2.0, "test_accuracy": 0.9},
    ]
    (tmp_path / "metrics.jsonl").write_text("".join(f"{json.dumps(row)}\n" for row in rows))
    record = {
        "format": 2, "status": "finished", "spec": {}, "epochs_done": [1],
        "metrics": {"test_accuracy": "high", "test_loss": [1], "train_loss": 0.5},
    }  # fmt: skip
    (tmp_path / "run.json").write_text(json.dumps(record))
    found = Attempt.of(read_run(tmp_path), 0, Target.of("test_accuracy>=0.5"))
    assert attrs.asdict(found) == {
        "seed": 0, "directory": tmp_path.name, "status": "finished", "reason": None, "epochs": 0, "seconds": None,
        "final": {"train_loss": 0.5}, "best": {"test_accuracy": 0.9}, "target_epochs": 2, "target_seconds": 2.0,
        "directions": {},
    }  # fmt: skip
