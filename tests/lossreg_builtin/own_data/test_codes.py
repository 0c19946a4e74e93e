"""Digits with leading zeros in tables: codes, not numbers, unless it is said that they are."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

import lossreg
from lossreg.errors import DataError
from lossreg.inputs import table_files
from lossreg.inputs.rows import read_rows
from tests.table import for_each

CODES = ("01000", "75001", "00042", "13000")


def load(path: Path, **parameters: Any) -> lossreg.Data:
    """The data set of a file, whose target is `y`."""
    name = "parquet" if path.suffix == ".parquet" else "csv"
    data = lossreg.datasets.build(name, path=str(path), **{"target": "y", **parameters})
    assert isinstance(data, lossreg.Data)
    return data


def written(folder: Path, codes: tuple[str, ...] = CODES, count: int = 40) -> Path:
    """A table with a column of codes, one of numbers and a target of numbers."""
    path = folder / "a.csv"
    rows = [(codes[i % len(codes)], str(0.5 + i), str(i * 1.5)) for i in range(count)]
    path.write_text("".join(f"{','.join(row)}\n" for row in [("zip", "x", "y"), *rows]))
    return path


def refused(path: Path, **parameters: Any) -> str:
    """What the error says, without the folder."""
    with pytest.raises(DataError) as caught:
        load(path, **parameters)
    return caught.value.message.replace(f"{path.parent}/", "")


@pytest.mark.parametrize("form", ["{},1,2", '"{}",1,2', " {} ,1,2"])
def test_a_column_of_codes_stays_text(tmp_path: Path, form: str) -> None:
    """Quoted or with blanks around, with the zeros, which is said with an example."""
    path = tmp_path / "a.csv"
    path.write_text("zip,x,y\n" + "".join(f"{form.format(code)}\n" for code in CODES * 5))
    data = load(path, task="regression")
    assert data.columns is not None
    assert data.columns[0].categories is not None
    assert sorted(one.strip() for one in data.columns[0].categories) == sorted(CODES)
    (note,) = [note for note in data.source["notes"] if "leading zeros" in note]
    assert note.startswith("zip has leading zeros, such as '")
    assert note.endswith("its cells are categories (numeric=['zip'] makes numbers of them)")


def test_a_single_code_among_many_cells_shows_it(tmp_path: Path) -> None:
    """Also where it is far from the beginning, behind what is looked at at a time."""
    path = tmp_path / "a.csv"
    lines = ["zip,x,y", *(f"{10 + i % 7},0.5,1.5" for i in range(30_000))]
    lines[25_000] = "07,0.5,1.5"
    path.write_text("\n".join(lines) + "\n")
    data = load(path)
    assert data.columns is not None
    assert data.columns[0].categories == ("07", *map(str, range(10, 17)))


@for_each("block", range(1, 12))
def test_a_code_at_an_edge_shows_it(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int) -> None:
    """Wherever what is looked at at a time ends."""
    monkeypatch.setattr(table_files, "LOOK", block)
    data = load(written(tmp_path, ("10", "11", "07")))
    assert data.columns is not None
    assert data.columns[0].categories == ("07", "10", "11")


@for_each("delimiter", [";", "\t", "|"])
def test_any_delimiter_begins_a_cell(tmp_path: Path, delimiter: str) -> None:
    """A code may be in any column."""
    path = tmp_path / "a.csv"
    path.write_text(
        "".join(f"{delimiter.join(row)}\n" for row in [("x", "zip", "y"), ("1", "07", "1.5"), ("2", "8", "2.5")])
    )
    data = load(path, test=0.5)
    assert data.columns is not None
    assert data.columns[1].categories == ("07", "8")


def test_numeric_makes_numbers_of_them(tmp_path: Path) -> None:
    """Standardised as others are; in Parquet, too, where such digits are a text."""
    rows = {"zip": [*CODES * 10], "x": [0.5] * 40, "y": np.arange(40) * 1.5}
    parquet.write_table(pa.table(rows), tmp_path / "a.parquet")
    expected = np.array([*map(float, CODES * 10)])
    for path in (written(tmp_path), tmp_path / "a.parquet"):
        data = load(path, features=["zip"], numeric=["zip"])
        assert data.columns == (lossreg.Column("zip"),)
        assert isinstance(data.train, tuple)
        assert data.input_scaling is not None
        raw = data.train[0].numpy() * data.input_scaling.std + data.input_scaling.mean
        np.testing.assert_allclose(sorted({*raw.ravel().round(1).tolist()}), sorted({*expected}), rtol=1e-4)


def test_what_is_no_code_is_a_number(tmp_path: Path) -> None:
    """0, 0.5, a zero inside of a number, and digits with zeros beside other numbers."""
    path = tmp_path / "a.csv"
    cells = [("0", "0.5", "100", "05"), ("10", "0.25", "20010", "2.5"), ("7", "00.5", "3", "-1")]
    path.write_text("a,b,c,d,y\n" + "".join(f"{','.join(row)},{i}.5\n" for i, row in enumerate(cells * 4)))
    data = load(path)
    assert data.columns == tuple(map(lossreg.Column, "abcd"))
    assert not any("leading" in note for note in data.source["notes"])


def test_a_target_of_codes_is_classes(tmp_path: Path) -> None:
    """With their zeros; task='regression' predicts the number."""
    path = tmp_path / "a.csv"
    path.write_text("x,y\n" + "".join(f"{i},{('01', '02', '10')[i % 3]}\n" for i in range(30)))
    for task in (None, "classification"):
        data = load(path, task=task)
        assert data.class_names == ("01", "02", "10")
    assert data.source["notes"][0].endswith(
        "y has leading zeros, such as '01': a classification of 3 classes (task='regression' predicts the number)"
    )
    data = load(path, task="regression")
    assert data.target_scaling is not None
    np.testing.assert_allclose(data.target_scaling.mean, np.mean([1, 2, 10]), rtol=0.2)


def test_what_a_prediction_is_made_for_is_read_alike(tmp_path: Path) -> None:
    """A code is found among the categories; a column of numbers takes zeros before a digit."""
    columns = [lossreg.Column("zip", tuple(sorted(CODES))), lossreg.Column("x")]
    rows = read_rows(b"zip,x\n00042,007\n75001,8\n", "a.csv", columns, [0.0] * 5, parquet=False)
    np.testing.assert_array_equal(rows, [[1, 0, 0, 0, 7], [0, 0, 0, 1, 8]])


def test_rows_for_testing_have_the_same_codes(tmp_path: Path) -> None:
    """In a file of their own, of which the categories are those of the training."""
    path, other = written(tmp_path), tmp_path / "b.csv"
    other.write_text("zip,x,y\n00042,1.5,2.5\n")
    data = load(path, test_path=str(other))
    assert isinstance(data.test, tuple)
    np.testing.assert_array_equal(data.test[0][0, :4], [1, 0, 0, 0])


def test_what_does_not_go_together(tmp_path: Path) -> None:
    """Each message says what to write."""
    path = written(tmp_path)
    assert refused(path, numeric=["zip"], categorical=["zip"]) == (
        "a.csv: 'zip' is in categorical and in numeric; leave it out of one of them"
    )
    assert refused(path, numeric=["y"]) == "a.csv: 'y' is numeric, but not one of the features"
    assert refused(written(tmp_path, ("a", "b")), numeric=["zip"]) == (
        "a.csv, line 2, column 'zip': 'a' is not a number, as all of a column in numeric are"
    )
    many = written(tmp_path, tuple(f"0{i}" for i in range(1000, 1150)), 300)
    assert refused(many) == (
        "a.csv: column 'zip' holds digits with leading zeros, as codes have, with 150 different values, such as "
        "'01000'; leave it out of features, or name it in categorical; numeric=['zip'] makes numbers of them"
    )
    assert load(many, categorical=["zip"]).in_shape == (151,)
    lines = "".join(f"{i},0{i}\n" for i in range(30))
    (tmp_path / "a.csv").write_text(f"x,y\n{lines}")
    assert "too many for classes (task='regression' predicts the number)" in refused(path)
