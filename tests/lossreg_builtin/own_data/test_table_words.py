"""What tables say of themselves: decimal commas, counts of rows, parameters without effect, classes of one row."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

import lossreg
from lossreg.errors import DataError
from lossreg.inputs.tables import has_decimal_comma
from tests.table import for_each


def load(folder: Path, text: str, **parameters: Any) -> lossreg.Data:
    """The data set `csv` of a text, whose target is `y`."""
    path = folder / "a.csv"
    path.write_text(text, encoding="utf-8")
    data = lossreg.datasets.build("csv", path=str(path), **{"target": "y", **parameters})
    assert isinstance(data, lossreg.Data)
    return data


def refused(folder: Path, text: str, **parameters: Any) -> str:
    """The message, without the folder."""
    with pytest.raises(DataError) as caught:
        load(folder, text, **parameters)
    return caught.value.message.replace(f"{folder}/", "")


def commas(count: int) -> str:
    """A table of different numbers as a spreadsheet in German or French writes it."""
    return "a;b;y\n" + "".join(f"{i};{i},{i + 1};{'pq'[i % 2]}\n" for i in range(count))


@pytest.mark.parametrize("count", [30, 300])
def test_a_column_of_decimal_commas_is_an_error(tmp_path: Path, count: int) -> None:
    """It says where the first is and how numbers are written; the number of different ones does not matter."""
    message = refused(tmp_path, commas(count))
    assert message.startswith("a.csv, line 2, column 'b': '0,1' is a number with a comma, as in ")
    assert f"{count} of {count} cells; write a point before decimals" in message
    assert message.endswith("categorical=['b'] takes all of its values as categories")


def test_a_target_of_decimal_commas_is_an_error(tmp_path: Path) -> None:
    """It would be a classification of a few classes; task= makes one of it."""
    text = "a;y\n" + "1;1,5\n2;2,5\n3;3,5\n" * 4
    assert refused(tmp_path, text).startswith("a.csv, line 2, column 'y': '1,5' is a number with a comma")
    assert "'1,5' is not a number; a number has a decimal point: write 1.5" in refused(
        tmp_path, text, task="regression"
    )
    assert load(tmp_path, text, task="classification").class_names == ("1,5", "2,5", "3,5")


def test_whole_numbers_beside_decimal_commas_count_as_numbers(tmp_path: Path) -> None:
    """A column of 4 and 2,5 has most of its cells as numbers, in which the commas are named."""
    assert "column 'a': '2,5' is a number with a comma, as in 12 of 16 cells" in refused(
        tmp_path, "a;y\n" + "4;p\n2,5;q\n1,5;p\n3,5;q\n" * 4
    )


def test_words_with_commas_are_categories(tmp_path: Path) -> None:
    """A text is not a number since it holds a comma, and asked for numbers are categories, too."""
    text = "a;y\nParis, 5;p\n1,2,3;q\nx,y;p\nBonn, 7;q\n"
    assert load(tmp_path, text).in_shape == (4,)
    assert load(tmp_path, commas(30), categorical=["b"]).in_shape == (31,)


@for_each("text", ["2,5", "-0,1", "+1,5e-3", "1.234,5", "1\u202f234,5", "1'234,50", ",5", " 2,5 "])
def test_numbers_with_a_comma(text: str) -> None:
    """The ways in which spreadsheets write them, with and without something between thousands."""
    assert has_decimal_comma(text)


def test_rows_with_a_missing_cell_are_counted_once(tmp_path: Path) -> None:
    """Three of five rows have one: two cells in a row are one row, and the counts of the columns add up to four."""
    text = "a,b,y\n1,2,p\n,,q\n3,,p\n,5,q\n6,7,p\n"
    message = refused(tmp_path, text)
    assert message.startswith("a.csv has missing values in 3 of 5 rows: a 2, b 2; the first of 'a' is in line 3.")
    notes = load(tmp_path, text, missing="mean").source["notes"]
    assert any(note.startswith("missing values in 3 of 5 rows of ") for note in notes)


@pytest.mark.parametrize(("parameter", "value"), [("test", 0.5), ("seed", 3)])
def test_a_share_has_no_effect_beside_a_test_file(tmp_path: Path, parameter: str, value: float) -> None:
    """The parameter is named, with the file."""
    (tmp_path / "b.csv").write_text("a,y\n1,p\n")
    message = refused(tmp_path, "a,y\n1,p\n2,q\n", test_path=str(tmp_path / "b.csv"), **{parameter: value})
    assert message == (
        f"csv: {parameter}={value} has no effect: the samples for testing are those of test_path, b.csv; leave it out"
    )


def test_a_class_of_one_row_is_not_tested(tmp_path: Path) -> None:
    """Its row is trained on, which is said."""
    data = load(tmp_path, "a,y\n" + "1,p\n2,q\n" * 5 + "3,lone\n")
    assert "the class lone has one sample alone, which is trained on: the class is not tested" in data.source["notes"]
    assert isinstance(data.test, tuple)
    assert np.bincount(data.test[1], minlength=3).tolist() == [0, 1, 1]
    several = load(tmp_path, "a,y\n" + "1,p\n2,p\n" * 5 + "3,u\n4,v\n").source["notes"]
    assert "2 classes have one sample alone, which is trained on: they are not tested: u, v" in several


def test_a_constant_target_is_said(tmp_path: Path) -> None:
    """A regression of one number has nothing to learn."""
    notes = load(tmp_path, "a,y\n" + "1,2.5\n2,2.5\n" * 5).source["notes"]
    assert "y is 2.5 in all training samples: there is nothing to learn" in notes


@pytest.mark.parametrize("parameter", ["features", "categorical"])
def test_a_column_is_named_once(tmp_path: Path, parameter: str) -> None:
    """A name that is written twice is an error."""
    message = refused(tmp_path, "a,b,y\n1,2,p\n3,4,q\n", **{parameter: ["a", "a"]})
    assert message == f"a.csv: {parameter} names the column 'a' twice"
