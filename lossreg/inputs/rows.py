"""Rows of a table as inputs of a model: by the names of columns, with the order and the categories of the training."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from lossreg.data import Column
from lossreg.errors import DataError
from lossreg.inputs.table_files import open_table
from lossreg.inputs.tables import Cells, Numbers, Table, Texts, as_numbers, check_finite, listed, not_a_number
from lossreg.suggestions import did_you_mean
from lossreg.values import shown

ALL = slice(None)
UNKNOWN = -2  # the code of a text that is none of the categories


def read_rows(
    source: Path | bytes, label: str, columns: Sequence[Column], mean: Sequence[float], *, parquet: bool
) -> np.ndarray[Any, Any]:
    """The raw inputs that a table holds, `(rows, numbers)` in float64, before they are scaled.

    Args:
        source: The file, or what it holds.
        label: The file in a message.
        columns: Those of the training; the table may have others, in any order.
        mean: For each number of an input, what stands for a missing one.
        parquet: Whether it is Parquet, not CSV.

    Raises:
        DataError: If a column is missing, or a cell is not as in the training.
    """
    names = [column.name for column in columns]
    file = open_table(source, label, names, parquet=parquet)
    file.check_names(names, "an input of the model")
    table = file.read(names, [column.name for column in columns if column.categories is not None])
    cells = [known_cells(table, column) for column in columns]
    inputs = np.empty((len(table), sum(column.width for column in columns)))
    for place, numbers in enumerate(all_numbers(cells, columns)):
        inputs[:, place] = numbers
        inputs[np.isnan(numbers), place] = mean[place]
    return inputs


def known_cells(table: Table, column: Column) -> Cells:
    """The cells of a column that was in the training.

    Raises:
        DataError: If one is not a number, not one of the categories, or missing where none may be.
    """
    cells = table.cells(column.name)
    if column.categories is None:
        cells = as_numbers(cells) if isinstance(cells, Texts) else cells
        if isinstance(cells, Texts):
            raise not_a_number(table, column.name, cells, "")
        check_finite(table, column.name, cells)
    else:
        cells = as_texts(cells)
        codes = codes_in(cells, column.categories)
        if len(codes) and int(codes.min()) == UNKNOWN:
            row = int(np.argmax(codes == UNKNOWN))
            word = cells.words[cells.codes[row]]
            raise DataError(
                f"{table.where(column.name, row)}: {shown(word)} is not one of the categories of the training."
                f"{did_you_mean(word, column.categories)} Categories: {listed(column.categories)}"
            )
        cells = Texts(codes, list(column.categories))
    if not column.optional and cells.has_missing and cells.missing.any():
        row = int(np.argmax(cells.missing))
        raise DataError(f"{table.where(column.name, row)}: the cell is empty, and no cell was in the training")
    return cells


def as_texts(cells: Cells) -> Texts:
    """Cells of which all are missing, which are no numbers either, as texts; others as they are."""
    return Texts(np.full(len(cells.values), -1), []) if isinstance(cells, Numbers) else cells


def codes_in(cells: Texts, categories: Sequence[str]) -> np.ndarray[Any, Any]:
    """For each cell the place of its text in the categories; -1 where it is missing, `UNKNOWN` where it is none."""
    places = {word: place for place, word in enumerate(categories)}
    codes = np.array([*(places.get(word, UNKNOWN) for word in cells.words), -1])  # the last one for what is missing
    found: np.ndarray[Any, Any] = codes[cells.codes]
    return found


def all_numbers(cells: Sequence[Cells], columns: Sequence[Column], rows: slice = ALL) -> Iterator[np.ndarray[Any, Any]]:
    """For each number of an input its value in some rows, float64: NaN where a number is missing.

    Args:
        cells: Of each column; those of a column with categories have their places as codes.
        columns: The columns.
        rows: Which.
    """
    for each, column in zip(cells, columns, strict=True):
        if isinstance(each, Numbers):
            yield each.values[rows]
        else:
            for place in range(column.width):
                yield (each.codes[rows] == place).astype(np.float64)
