"""Several columns of a table as the targets of a multilabel classification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import lossreg
from lossreg.errors import DataError
from tests.table import for_each

if TYPE_CHECKING:
    from tests.conftest import Command

TARGETS = ["beach", "sunset", "people"]


def labels(count: int = 40) -> np.ndarray[Any, Any]:
    """0 and 1 for each row and class, all combinations."""
    return np.array([[i >> bit & 1 for bit in range(3)] for i in range(count)])


def write(folder: Path, rows: list[list[Any]] | None = None) -> Path:
    """A table with a column of numbers, and one for each class."""
    path = folder / "tags.csv"
    rows = [[i, *row] for i, row in enumerate(labels().tolist())] if rows is None else rows
    path.write_text("".join(f"{','.join(map(str, row))}\n" for row in [["x", *TARGETS], *rows]))
    return path


def load(path: Path, name: str = "csv", **parameters: Any) -> lossreg.Data:
    """The data set, of these targets."""
    data = lossreg.datasets.build(name, path=str(path), **{"target": TARGETS, "task": "multilabel", **parameters})
    assert isinstance(data, lossreg.Data)
    return data


def rows_of(data: lossreg.Data) -> list[list[float]]:
    """The number of each row as the file has it, with its targets, of both splits."""
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    assert data.input_scaling is not None
    inputs, targets = (
        np.concatenate([one.numpy(), two.numpy()]) for one, two in zip(data.train, data.test, strict=True)
    )
    raw = (inputs * data.input_scaling.std + data.input_scaling.mean).round(3)
    return sorted(np.column_stack([raw, targets]).tolist())


def test_each_column_is_a_class(tmp_path: Path) -> None:
    """The targets are those of the file, classes are called as the columns are, and the task need not be said."""
    for task in ("multilabel", None):
        data = load(write(tmp_path), task=task)
        assert (data.task, data.class_names, data.num_classes) == ("multilabel", tuple(TARGETS), 3)
        assert data.columns == (lossreg.Column("x"),)
        assert rows_of(data) == [[i, *row] for i, row in enumerate(labels().tolist())]
    assert data.source["split"]["stratified"] is False
    assert data.source["notes"][0].endswith(
        "3 targets: a multilabel classification; rows of 40 that have each: beach 20, sunset 20, people 20"
    )


def test_parquet_and_truth_values(tmp_path: Path) -> None:
    """Truth values are 0 and 1 in both kinds of file, and so are floating-point numbers that are."""
    found = labels()
    table = {"x": np.arange(40.0), "beach": found[:, 0] > 0, "sunset": found[:, 1] * 1.0, "people": found[:, 2]}
    parquet.write_table(pa.table(table), tmp_path / "tags.parquet")
    words = [[i, "True" if a else "FALSE", f"{b}.0", c] for i, (a, b, c) in enumerate(found.tolist())]
    expected = [[i, *row] for i, row in enumerate(found.tolist())]
    assert rows_of(load(tmp_path / "tags.parquet", "parquet")) == expected
    assert rows_of(load(write(tmp_path, words))) == expected


def test_rows_for_testing_in_a_file_of_their_own(tmp_path: Path) -> None:
    """They have the same columns, in any order."""
    (tmp_path / "b.csv").write_text("people,sunset,beach,x\n1,0,0,3\n0,1,1,4\n")
    data = load(write(tmp_path), test_path=str(tmp_path / "b.csv"))
    assert isinstance(data.test, tuple)
    np.testing.assert_array_equal(data.test[1], [[0, 0, 1], [1, 1, 0]])


def test_a_class_that_is_the_same_in_all_rows_is_said(tmp_path: Path) -> None:
    """There is nothing to learn of it."""
    data = load(write(tmp_path, [[i, i % 2, 1, i // 2 % 2] for i in range(20)]))
    assert "sunset is 1 in all training rows: there is nothing to learn" in data.source["notes"]


def test_missing_targets_are_missing_cells(tmp_path: Path) -> None:
    """They are an error that counts them, or rows that are left out."""
    path = write(tmp_path, [[i, i % 2, "" if i in (3, 5) else 1, "NA" if i == 3 else 0] for i in range(20)])
    with pytest.raises(DataError, match=r"missing values in 2 of 20 rows: sunset 2, people 1; the first of 'sunset'"):
        load(path)
    for missing in ("drop", "mean"):
        data = load(path, missing=missing)
        assert [row[0] for row in rows_of(data)] == [i for i in range(20) if i not in (3, 5)]


@for_each(
    ("parameters", "said"),
    [
        ({"target": ["beach"]}, "target=['beach'] is one column, and a multilabel classification has several; write "
         "target='beach', of which 0 and 1 are two classes"),
        ({"target": "beach"}, "target='beach' is one column; a multilabel classification has a column of 0 and 1 for "
         "each class: write target=['a', 'b'], or leave task out"),
        ({"target": []}, "target=[] names no column; write target='a'"),
        ({"target": ["beach", "beach"]}, "target=['beach', 'beach'] names the column 'beach' twice"),
        ({"task": "regression"}, "are several columns, of a multilabel classification, and task='regression' has one"),
        ({"target": ["beach", "sunst"]}, "has no column 'sunst', which is a target. Did you mean 'sunset'?"),
        ({"features": ["x", "beach"]}, "'beach' is the target, and cannot be one of the features too"),
        ({"target": ["x", *TARGETS]}, "no column is left to predict 'x' and 'beach' and 'sunset' and 'people' from"),
        ({"target": ["x", "beach"]}, "tags.csv, line 4, column 'x': 2 is neither 0 nor 1, as each target of a "
         "multilabel classification is"),
    ],
)  # fmt: skip
def test_what_cannot_be_targets(tmp_path: Path, parameters: dict[str, Any], said: str) -> None:
    """The message says what is wrong, and what to write."""
    with pytest.raises(DataError) as caught:
        load(write(tmp_path), **parameters)
    assert said in caught.value.message


def test_a_word_is_neither_0_nor_1(tmp_path: Path) -> None:
    """It is named with its line."""
    with pytest.raises(DataError, match=r"line 3, column 'sunset': maybe is neither 0 nor 1"):
        load(write(tmp_path, [[1, 0, "true", 0], [2, 0, "maybe", 1], [3, 1, "false", 1]]))


def test_from_the_command_line_to_predictions(tmp_path: Path, lossreg_command: Command) -> None:
    """Trained with the default loss, predicted for rows without targets, with the names of classes."""
    write(tmp_path)
    data = f"csv(path='tags.csv', target={TARGETS})"
    usual = ("--model.hidden", "[4]", "--device", "cpu", "--quiet")
    outcome = lossreg_command("run", "--data", data, "--epochs", "1", "--out", "a", *usual)
    assert outcome.code == 0, outcome.err
    assert "test_label_accuracy" in outcome.out
    record = json.loads((tmp_path / "a" / "run.json").read_text())
    assert record["data"]["class_names"] == TARGETS
    (tmp_path / "new.csv").write_text("x\n3\n17\n")
    outcome = lossreg_command("predict", "a", "new.csv", "--out", "p.csv", "--device", "cpu")
    assert outcome.code == 0, outcome.err
    assert (tmp_path / "p.csv").read_text().splitlines()[0] == ",".join(
        ["input", *(f"probability_{t}" for t in TARGETS)]
    )
