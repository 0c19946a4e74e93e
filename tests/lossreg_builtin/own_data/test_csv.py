"""CSV and Parquet files as data sets, against numpy, pandas-free formulas in float64 and Python's csv."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
import torch
from pyarrow import parquet

import lossreg
from lossreg import Data

Write = Callable[[str], Path]


@pytest.fixture
def write(tmp_path: Path) -> Write:
    """Writes a table, and gives its path."""

    def write_table(text: str, name: str = "a.csv") -> Path:
        path = tmp_path / name
        path.write_text(text, encoding="utf-8")
        return path

    return write_table


def load(path: Path, target: str = "y", **parameters: Any) -> Data:
    """The data set `csv`."""
    data = lossreg.datasets.build("csv", path=str(path), target=target, **parameters)
    assert isinstance(data, Data)
    return data


def parts(data: Data) -> tuple[np.ndarray[Any, Any], ...]:
    """Inputs and targets of training and test."""
    assert isinstance(data.train, tuple)
    assert isinstance(data.test, tuple)
    return tuple(part.numpy() for part in (*data.train, *data.test))


def table(rows: Sequence[Sequence[object]]) -> str:
    """Rows as CSV."""
    return "".join(",".join(map(str, row)) + "\n" for row in rows)


def numbers(count: int = 50) -> np.ndarray[Any, Any]:
    """Two columns and a target that depends on them."""
    generator = np.random.default_rng(0)
    values = generator.normal(5, 3, (count, 2)).round(3)
    return np.column_stack([values, (values @ [2, -1]).round(3)])


def test_numbers_are_standardised_by_the_training_rows(write: Write) -> None:
    """Training columns have mean 0 and variance 1, and undoing the recorded scaling gives the file's numbers."""
    rows = numbers()
    data = load(write(table([("a", "b", "y"), *rows])))
    inputs, targets, test_inputs, test_targets = parts(data)
    assert (data.task, data.in_shape, data.out_features) == ("regression", (2,), 1)
    np.testing.assert_allclose(inputs.astype(float).mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(inputs.astype(float).std(0), 1, atol=1e-6)
    assert data.input_scaling is not None
    assert data.target_scaling is not None
    raw = np.concatenate([inputs, test_inputs]) * data.input_scaling.std + data.input_scaling.mean
    predicted = np.concatenate([targets, test_targets]) * data.target_scaling.std + data.target_scaling.mean
    found = sorted(map(tuple, np.column_stack([raw, predicted]).round(3).tolist()))
    assert found == sorted(map(tuple, rows.tolist()))


def test_the_split_is_stratified_and_goes_by_the_seed(write: Write) -> None:
    """Of each class its share is for testing, rounded; another seed is another split, the same one the same."""
    path = write(table([("x", "y"), *((index, "ab"[index % 4 == 0]) for index in range(40))]))
    first, again, other = load(path), load(path), load(path, seed=1)
    *_, test_inputs, test_targets = parts(first)
    assert np.bincount(test_targets).tolist() == [6, 2]  # a fifth of 30 and of 10
    np.testing.assert_array_equal(test_inputs, parts(again)[2])
    assert not np.array_equal(test_inputs, parts(other)[2])
    assert first.source["split"] == {"by": "seed", "test": 0.2, "seed": 0, "stratified": True}


def test_text_is_categories_with_a_number_each(write: Write) -> None:
    """A column of text becomes one-hot, in the order of the sorted texts, and is not scaled."""
    colours = ["red", "blue", "red", "grün", "blue", "red"]
    path = write(table([("c", "x", "y"), *((c, i, "pq"[i % 2]) for i, c in enumerate(colours))]))
    data = load(path)
    assert data.columns == (lossreg.Column("c", ("blue", "grün", "red")), lossreg.Column("x"))
    assert data.class_names == ("p", "q")
    inputs, _, test_inputs, _ = parts(data)
    assert data.input_scaling is not None
    both = np.concatenate([inputs, test_inputs]) * data.input_scaling.std + data.input_scaling.mean
    expected = [[c == "blue", c == "grün", c == "red", i] for i, c in enumerate(colours)]
    np.testing.assert_allclose(sorted(both.tolist()), sorted(np.array(expected, float).tolist()), atol=1e-6)


@pytest.mark.parametrize(
    ("targets", "task", "names"),
    [
        (["cat", "dog"] * 10, "classification", ("cat", "dog")),
        ([2, 10, -1, 2] * 5, "classification", ("-1", "2", "10")),
        ([True, False] * 10, "classification", ("False", "True")),
        (["2026-01-01", "2026-01-02"] * 10, "classification", ("2026-01-01", "2026-01-02")),
        (list(range(20)), "regression", None),
        ([0.5, 1.0] * 10, "regression", None),
        (list(range(21)) * 3, "regression", None),
    ],
)
def test_the_task_is_told_from_the_target(
    write: Write, targets: list[Any], task: str, names: tuple[str, ...] | None
) -> None:
    """Text and at most 20 different whole numbers are classes; other numbers are a regression; the reason is said."""
    data = load(write(table([("x", "y"), *enumerate(targets)])))
    assert (data.task, data.class_names) == (task, names)
    assert f": a {task}" in data.source["notes"][0]


def test_the_task_may_be_said(write: Write) -> None:
    """Numbers with decimals may be classes, and whole numbers a regression."""
    path = write(table([("x", "y"), *((i, [0.5, 2.0][i % 2]) for i in range(20))]))
    assert load(path, task="classification").class_names == ("0.5", "2")
    path = write(table([("x", "y"), *((i, i % 2) for i in range(20))]))
    assert load(path, task="regression").out_features == 1


def test_missing_cells_may_be_left_out(write: Write) -> None:
    """With missing='drop' rows with one are left out, and the counts of the columns are said."""
    path = write("a,b,y\n1,2,p\n,2,q\n3,NA,p\n4,5,q\n,7,p\n6,8,\n" + "7,8,q\n9,8,p\n" * 4)
    data = load(path, missing="drop")
    assert len(parts(data)[0]) + len(parts(data)[2]) == 10
    (note,) = [note for note in data.source["notes"] if note.startswith("missing values")]
    assert "a 2, b 1, y 1; 4 rows with one are left out" in note


def test_the_mean_may_stand_for_missing_cells(write: Write) -> None:
    """With missing='mean' a missing number is 0 after scaling by the numbers that are there, a missing text none."""
    path = write("a,c,y\n" + "1,u,p\n,u,q\n3,,p\n5,v,q\n" * 5)
    data = load(path, missing="mean", test_path=str(path))
    inputs, _, test_inputs, _ = parts(data)
    mean, std = 3.0, np.sqrt(8 / 3)  # of 1, 3 and 5
    expected = [[(1 - mean) / std, 1, 0], [0, 1, 0], [0, 0, 0], [(5 - mean) / std, 0, 1]] * 5
    np.testing.assert_allclose(inputs, expected, atol=1e-6)
    np.testing.assert_array_equal(test_inputs, inputs)
    assert data.columns is not None
    assert all(column.optional for column in data.columns)


@pytest.mark.parametrize("delimiter", [";", "\t", "|"])
def test_the_line_of_names_shows_what_separates(write: Write, delimiter: str) -> None:
    """Semicolons, tabs and bars are found by the name of the target."""
    text = table([("a", "y"), (1.5, "p"), (2, "q"), (3, "p"), (4, "q")]).replace(",", delimiter)
    assert load(write(text)).columns == (lossreg.Column("a"),)


def test_quotes_line_breaks_and_a_byte_order_mark(write: Write) -> None:
    """A text with commas, quotes and line breaks is one cell; Windows' line ends and a byte order mark do not count."""
    texts = ['a,"b"', "two\nlines", "plain"]
    with write("").open("w", newline="", encoding="utf-8-sig") as stream:
        csv.writer(stream).writerows([("t", "y"), *((texts[i % 3], i % 2) for i in range(12))])
        name = Path(stream.name)
    data = load(name)
    assert data.columns == (lossreg.Column("t", tuple(sorted(texts))),)


def test_features_and_codes_may_be_chosen(write: Write) -> None:
    """`features` leaves columns out, and numbers of `categorical` columns are categories as they are written."""
    path = write(table([("id", "code", "x", "y"), *((f"r{i}", f"0{i % 3}", i, "pq"[i % 2]) for i in range(12))]))
    data = load(path, features=["x", "code"], categorical=["code"])
    assert data.columns == (lossreg.Column("code", ("00", "01", "02")), lossreg.Column("x"))


def test_a_file_for_testing(write: Write, tmp_path: Path) -> None:
    """With `test_path` its rows are the test split, with the training's scaling, categories and classes."""
    path = write(table([("a", "c", "y"), *((i, "uvw"[i % 3], "pq"[i % 2]) for i in range(12))]))
    other = tmp_path / "b.csv"
    other.write_text("y,extra,c,a\nq,1,v,100\n")
    data = load(path, test_path=str(other))
    inputs, _, test_inputs, test_targets = parts(data)
    assert len(inputs) == 12
    a = np.arange(12.0)
    np.testing.assert_allclose(test_inputs, [[(100 - a.mean()) / a.std(), 0, 1, 0]], rtol=1e-6)
    assert test_targets.tolist() == [1]
    hashes = [hashlib.sha256(one.read_bytes()).hexdigest() for one in (path, other)]
    assert data.source["files"] == [
        {"path": str(one), "sha256": digest} for one, digest in zip((path, other), hashes, strict=True)
    ]


def test_parquet_is_as_csv(write: Write, tmp_path: Path) -> None:
    """The same table as Parquet gives the same tensors, columns and classes; a NaN is a missing cell."""
    rows = [(i / 8, "uvw"[i % 3], i, "pq"[i % 2]) for i in range(24)]
    rows[5] = (float("nan"), *rows[5][1:])
    columns = {name: pa.array(values) for name, values in zip("acby", zip(*rows, strict=True), strict=True)}
    columns["c"] = columns["c"].dictionary_encode()
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    path = write(table([("a", "c", "b", "y"), *rows]))
    ours = lossreg.datasets.build("parquet", path=str(tmp_path / "a.parquet"), target="y", missing="mean")
    peer = load(path, missing="mean")
    for one, other in zip(parts(ours), parts(peer), strict=True):
        np.testing.assert_array_equal(one, other)
    assert (ours.columns, ours.class_names) == (peer.columns, peer.class_names)


def test_a_constant_column_stays_0(write: Write) -> None:
    """A column that is the same in all training rows is 0, which is said."""
    data = load(write(table([("a", "k", "y"), *((i, 7, i % 2) for i in range(20))])))
    assert parts(data)[0][:, 1].tolist() == [0] * 16
    assert "the same in all training rows: k" in data.source["notes"]


def test_large_numbers_keep_their_digits(write: Write) -> None:
    """Numbers around 1e9 that differ by 1 are told apart after scaling, which float32 does not do before."""
    data = load(write(table([("a", "y"), *((1_000_000_000 + i, i % 2) for i in range(20))])), test_path=None)
    inputs = np.sort(parts(data)[0][:, 0].astype(float))
    assert np.diff(inputs).min() > 0.1


def test_the_tensors_are_what_a_run_takes(write: Write) -> None:
    """Inputs are float32, class indices int64 and numbers float32 of two dimensions."""
    data = load(write(table([("a", "y"), *((i, i / 2) for i in range(20))])))
    assert isinstance(data.train, tuple)
    assert [(part.dtype, part.ndim) for part in data.train] == [(torch.float32, 2), (torch.float32, 2)]
