"""Tables that cannot be used: the error names the file, the line, the column and what is wrong."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet

import lossreg
from lossreg.errors import DataError, MissingLibraryError
from tests.table import for_each

GOOD = "a,b,y\n1,2,p\n3,4,q\n5,6,p\n7,8,q\n"

#: What the file holds, further parameters, and what the error says after the name of the file.
FAULTS: dict[str, tuple[str | bytes, dict[str, Any], str]] = {
    "a text in a number column": (
        GOOD + "9,x,p\n",
        {},
        ", line 6, column 'b': 'x' is not a number, as most of the column are; categorical=['b'] takes all",
    ),
    "a decimal comma": (
        "a;y\n1.5;p\n2,5;q\n3.5;p\n",
        {},
        ", line 3, column 'a': '2,5' is not a number; a number has a decimal point: write 2.5",
    ),
    "too few cells": (GOOD + "9,10\n", {}, ": line 6 has 2 cells, and the line of names 3"),
    "too many cells": ("a,b,y\n\n1,2,p,4\n", {}, ": line 3 has 4 cells, and the line of names 3"),
    "a cell of two lines before it": ('a,t,y\n1,"u\nv",p\n2,w\n', {}, ": line 4 has 2 cells, and the line of names 3"),
    "an open quote": ('a,y\n1,"p\n2,q\n', {}, ": line 2: unexpected end of data; is a quote not closed?"),
    "an empty file": (b"", {}, ": it is empty; a table has a line of names, and a line for each row"),
    "blank lines": ("\n\n", {}, ": it holds only blank lines"),
    "no rows": ("a,b,y\n", {}, " has a line of names, and no rows"),
    "no line of names": (
        "1.5,2,p\n3,4,q\n",
        {},
        " has no column 'y', which is the target. Columns: 1.5, 2, p (its first line, '1.5,2,p', looks like",
    ),
    "two names alike": ("a,a,y\n1,2,p\n", {}, ": line 1: columns 1 and 2 are both named 'a'"),
    "a column without a name": (
        ",a,y\n0,1,p\n",
        {},
        ": line 1: column 1 has no name; pandas leaves its index out with to_csv(..., index=False)",
    ),
    "an unknown target": (
        "age,price\n1,2\n",
        {"target": "prise"},
        " has no column 'prise', which is the target. Did you mean 'price'? Columns: age, price",
    ),
    "an unknown feature": (GOOD, {"features": ["a", "bb"]}, " has no column 'bb', which is one of the features."),
    "the target as a feature": (
        GOOD,
        {"features": ["a", "y"]},
        ": 'y' is the target, and cannot be one of the features too",
    ),
    "categorical, but no feature": (
        GOOD,
        {"features": ["a"], "categorical": ["b"]},
        ": 'b' is categorical, but not one of the features",
    ),
    "the target alone": ("y\np\nq\n", {}, ": no column is left to predict 'y' from"),
    "one class": ("a,y\n1,p\n2,p\n", {}, ": y is 'p' in all 2 samples; two classes are needed"),
    "missing cells": (
        "a,b,y\n1,2,p\n,NA,q\n3,4,p\n5,,q\n",
        {},
        " has missing values in 2 of 4 rows: a 1, b 2; the first of 'a' is in line 3. missing='drop' leaves such",
    ),
    "a missing target": (
        "a,y\n1,p\n2,\n",
        {},
        " has missing values in 1 of 2 rows: y 1; the first of 'y' is in line 3.",
    ),
    "nothing without a missing cell": (
        "a,b,y\n1,,p\n,2,q\n",
        {"missing": "drop"},
        ": no row is left without a missing value",
    ),
    "an empty column": ("a,b,y\n1,,p\n2,,q\n", {"missing": "mean"}, ": column 'b' is empty; leave it out of features"),
    "infinity": ("a,y\n1,p\ninf,q\n3,p\n", {}, ", line 3, column 'a': inf is not a finite number"),
    "a number beyond float64": ("a,y\n1,p\n3,q\n1e999,p\n", {}, ", line 4, column 'a': 1e999 is not a finite number"),
    "numbers too great to scale": (
        "a,y\n1e300,p\n-1e300,q\n1e300,p\n1e299,q\n",
        {},
        ": column 'a' holds numbers up to 1e+300, too great to scale",
    ),
    "whole numbers that are not told apart": (
        "a,y\n" + "1,9007199254740993\n2,9007199254740995\n" * 9,
        {},
        ": y holds 9007199254740996, and whole numbers of this size are not told apart",
    ),
    "too many texts": (
        "a,y\n" + "".join(f"n{i},{i % 2}\n" for i in range(101)),
        {},
        ": column 'a' holds text with 101 different values, such as 'n0'; leave it out of features, or name",
    ),
    "too many classes": (
        "a,y\n" + "".join(f"{i},n{i}\n" for i in range(30)),
        {},
        ": y has 30 different values in 30 samples, such as 'n0' and 'n1': too many for classes",
    ),
    "a text among the targets": (
        "a,y\n1,2.5\n2,3.5\n3,?\n",
        {},
        ", line 4, column 'y': '?' is not a number, as most of the column are; task='classification' takes",
    ),
    "a regression of texts": (
        GOOD,
        {"task": "regression"},
        ", line 2, column 'y': 'p' is not a number, as the target of a regression is",
    ),
    "Latin-1": (
        "a,t,y\n1,é,p\n2,u,q\n".encode("latin-1"),
        {},
        ": line 2: byte 0xe9 is not UTF-8; save the table as text in UTF-8",
    ),
    "Latin-1 among the names": ("é,y\n1,p\n".encode("latin-1"), {}, ": line 1: byte 0xe9 is not UTF-8"),
    "UTF-16": (GOOD.encode("utf-16"), {}, ": line 1: byte 0xff is not UTF-8"),
    "too few rows": ("a,y\n1,p\n2,q\n", {}, " has too few rows for a test split: 2; name a file of rows: test_path"),
    "a share of all": (
        GOOD,
        {"test": 1.0},
        "csv: test=1.0 is not a share of the samples above 0 and below 1, such as 0.2",
    ),
    "a seed below 0": (GOOD, {"seed": -1}, "csv: seed=-1 is below 0"),
}


@for_each("fault", FAULTS)
def test_what_is_wrong_is_named(fault: str, tmp_path: Path) -> None:
    """The error says where it is, and what."""
    content, parameters, expected = FAULTS[fault]
    path = tmp_path / "a.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(DataError) as caught:
        lossreg.datasets.build("csv", **{"path": str(path), "target": "y", **parameters})
    assert caught.value.message.removeprefix(str(path)).startswith(expected)


#: What the test file holds, and what the error says after its name.
TEST_FAULTS = {
    "a class that is seen only there": (
        "a,c,y\n1,u,p\n2,u,r\n",
        ", line 3, column 'y': the class 'r' is not in the training rows, whose classes are p, q",
    ),
    "a category that is seen only there": (
        "a,c,y\n1,x,p\n",
        ", line 2, column 'c': 'x' is not one of the categories of the training.",
    ),
    "a missing column": ("a,y\n1,p\n", " has no column 'c', which is a column of the training table."),
    "a text among numbers": ("a,c,y\nz,u,p\n", ", line 2, column 'a': 'z' is not a number"),
    "a missing cell": ("a,c,y\n,u,p\n", " has missing values in 1 of 1 rows: a 1; the first of 'a' is in line 2."),
}


@pytest.mark.parametrize("fault", TEST_FAULTS)
def test_a_test_file_is_as_the_training_file(fault: str, tmp_path: Path) -> None:
    """A file for testing has the columns, categories and classes of the training."""
    content, expected = TEST_FAULTS[fault]
    path, other = tmp_path / "a.csv", tmp_path / "b.csv"
    path.write_text("a,c,y\n1,u,p\n2,v,q\n3,u,p\n4,v,q\n")
    other.write_text(content)
    with pytest.raises(DataError) as caught:
        lossreg.datasets.build("csv", path=str(path), target="y", test_path=str(other))
    assert caught.value.message.removeprefix(str(other)).startswith(expected)


def test_what_is_not_a_file(tmp_path: Path) -> None:
    """A missing file and a folder are named."""
    for path, expected in ((tmp_path / "no.csv", "does not exist"), (tmp_path, "is a folder, not a file")):
        with pytest.raises(DataError, match=expected):
            lossreg.datasets.build("csv", path=str(path), target="y")


def test_damaged_parquet(tmp_path: Path) -> None:
    """A file that is not Parquet, a column of lists and a row with a wrong cell are named."""
    path = tmp_path / "a.parquet"
    path.write_bytes(b"PAR1 nothing else")
    with pytest.raises(DataError, match="is not a Parquet file, or damaged"):
        lossreg.datasets.build("parquet", path=str(path), target="y")
    parquet.write_table(pa.table({"a": [[1], [2]], "y": ["p", "q"]}), path)
    with pytest.raises(DataError, match=r"column 'a' holds list<.*>, and neither numbers nor text"):
        lossreg.datasets.build("parquet", path=str(path), target="y")
    parquet.write_table(pa.table({"a": [1.0, float("inf"), 2.0], "y": ["p", "q", "p"]}), path)
    with pytest.raises(DataError, match=r"a\.parquet, row 2, column 'a': inf is not a finite number"):
        lossreg.datasets.build("parquet", path=str(path), target="y")


def test_a_line_far_down_is_named(tmp_path: Path) -> None:
    """A wrong row behind the first block that is read, in a megabyte of others, has its own line."""
    path = tmp_path / "a.csv"
    path.write_text("a,y\n" + "1.5,p\n2.5,q\n" * 100_000 + "3.5\n" + "1.5,p\n" * 10)
    with pytest.raises(DataError, match="line 200002 has 1 cells, and the line of names 2"):
        lossreg.datasets.build("csv", path=str(path), target="y")


def test_pyarrow_is_an_extra(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Without pyarrow the error says what to install."""
    (tmp_path / "a.csv").write_text(GOOD)
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingLibraryError, match=r"pip install 'lossreg\[tables\]'"):
        lossreg.datasets.build("csv", path=str(tmp_path / "a.csv"), target="y")
