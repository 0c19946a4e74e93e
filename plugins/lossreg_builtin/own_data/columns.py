"""The columns of a training table: which are inputs, which are categories, and what is missing in them."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np

from lossreg.data import Column
from lossreg.errors import DataError
from lossreg.inputs.rows import as_texts, codes_in
from lossreg.inputs.tables import (
    Cells,
    Numbers,
    Table,
    TableFile,
    Texts,
    as_numbers,
    check_finite,
    has_decimal_comma,
    is_number,
    listed,
    not_a_number,
)
from lossreg.values import counted, shown
from lossreg_builtin.own_data.wanted import Missing, Wanted

Mask = np.ndarray[Any, np.dtype[np.bool_]]

MOST = 100  # categories of a text column that are taken unasked
MOSTLY = 0.5  # from this share of numbers on, a text among them is a mistake


def feature_names(file: TableFile, wanted: Wanted) -> list[str]:
    """The columns that are inputs, in the order of the table.

    Raises:
        DataError: If a name is unknown, given twice, or is that of the target.
    """
    file.check_names(wanted.targets, "the target" if len(wanted.targets) == 1 else "a target")
    if wanted.features is None:
        names = [name for name in file.names if name not in wanted.targets]
    else:
        file.check_names(wanted.features, "one of the features")
        _check_different(file, wanted.features, "features")
        both = next((name for name in wanted.targets if name in wanted.features), None)
        if both is not None:
            raise DataError(f"{file.label}: {shown(both)} is the target, and cannot be one of the features too")
        names = [name for name in file.names if name in wanted.features]
    if not names:
        predicted = " and ".join(map(shown, wanted.targets))
        raise DataError(f"{file.label}: no column is left to predict {predicted} from; Columns: {listed(file.names)}")
    for what, given in (("categorical", wanted.categorical), ("numeric", wanted.numeric)):
        file.check_names(given, f"one of {what}")
        _check_different(file, given, what)
        other = next((name for name in given if name not in names), None)
        if other is not None:
            raise DataError(f"{file.label}: {shown(other)} is {what}, but not one of the features")
    both = next((name for name in wanted.numeric if name in wanted.categorical), None)
    if both is not None:
        raise DataError(f"{file.label}: {shown(both)} is in categorical and in numeric; leave it out of one of them")
    return names


def _check_different(file: TableFile, names: Sequence[str], what: str) -> None:
    """Checks that a column is named once.

    Raises:
        DataError: If one is named twice.
    """
    twice = next((name for place, name in enumerate(names) if name in names[:place]), None)
    if twice is not None:
        raise DataError(f"{file.label}: {what} names the column {shown(twice)} twice")


def column_of(table: Table, name: str, wanted: Wanted, code: str | None) -> tuple[Column, Cells]:
    """What a column is, and its cells: those of a category as places among the sorted texts.

    Args:
        table: The table.
        name: Of the column.
        wanted: What is wanted of the table.
        code: One of its cells, if they are digits with leading zeros.

    Raises:
        DataError: If it is empty, a number is not finite, a text is among numbers, or there are too many texts.
    """
    cells, optional = table.cells(name), wanted.missing == "mean"
    is_category = name in wanted.categorical
    if isinstance(cells, Texts) and name in wanted.numeric:
        cells = as_numbers(cells)
    if isinstance(cells, Texts) and not is_category:
        _check_categories(table, name, cells, wanted, code)
    if isinstance(cells, Numbers) and not is_category:
        if cells.has_missing and cells.missing.all():
            raise DataError(f"{table.file.label}: column {shown(name)} is empty; leave it out of features")
        check_finite(table, name, cells)
        return Column(name, optional=optional), cells
    cells = as_texts(cells)
    if not cells.words:
        raise DataError(f"{table.file.label}: column {shown(name)} is empty; leave it out of features")
    categories = sorted(cells.words)
    return Column(name, tuple(categories), optional), Texts(codes_in(cells, categories), categories)


def _check_categories(table: Table, name: str, cells: Texts, wanted: Wanted, code: str | None) -> None:
    """Checks that texts which nothing says to be categories can be such.

    Raises:
        DataError: If they are meant as numbers, or there are too many.
    """
    if name in wanted.numeric:
        raise not_a_number(table, name, cells, ", as all of a column in numeric are")
    check_not_numbers(table, name, cells, f"categorical=[{name!r}] takes all of its values as categories")
    if len(cells.words) > MOST:
        what = "text" if code is None else "digits with leading zeros, as codes have,"
        example = cells.words[0] if code is None else code
        numeric = "" if code is None else f"; numeric=[{name!r}] makes numbers of them"
        raise DataError(
            f"{table.file.label}: column {shown(name)} holds {what} with {len(cells.words):,} different values, such "
            f"as {shown(example)}; leave it out of features, or name it in categorical{numeric}"
        )


def check_not_numbers(table: Table, name: str, cells: Texts, advice: str) -> None:
    """Checks that a text is not a mistake in a column of numbers, nor these written with a decimal comma.

    Raises:
        DataError: That names the first text, if most cells are numbers.
    """
    counts = np.bincount(cells.codes[cells.codes >= 0], minlength=len(cells.words))
    numbers = sum(int(count) for word, count in zip(cells.words, counts, strict=True) if is_number(word))
    if 0 < numbers < counts.sum() and numbers >= MOSTLY * counts.sum():
        raise not_a_number(table, name, cells, f", as most of the column are; {advice}")
    commas = np.array([has_decimal_comma(word) for word in cells.words], dtype=bool)
    count = int(counts[commas].sum())
    if count and numbers + count >= MOSTLY * counts.sum():
        row = int(np.argmax((cells.codes >= 0) & commas[cells.codes]))
        raise DataError(
            f"{table.where(name, row)}: {shown(cells.words[cells.codes[row]])} is a number with a comma, as in "
            f"{count:,} of {int(counts.sum()):,} cells; write a point before decimals, and nothing between "
            f"thousands (pandas: read_csv(..., decimal=',').to_csv(..., index=False)); {advice}"
        )


def kept(cells: Sequence[Cells], rows: Mask) -> list[Cells]:
    """The cells of some rows."""
    return [
        Numbers(each.values[rows], each.is_whole) if isinstance(each, Numbers) else Texts(each.codes[rows], each.words)
        for each in cells
    ]


def complete_rows(
    table: Table, cells: Mapping[str, Cells], targets: Collection[str], missing: Missing, notes: list[str]
) -> Mask | None:
    """The rows that are used; None is all.

    Args:
        table: The table.
        cells: Those of each column, the targets among them.
        targets: The names of their columns.
        missing: What is done where cells are missing.
        notes: Gets a sentence with the counts.

    Raises:
        DataError: If cells are missing and may not, or no row is left.
    """
    gaps = {name: each.missing for name, each in cells.items() if each.has_missing}
    gaps = {name: gap for name, gap in gaps.items() if gap.any()}
    if not gaps:
        return None
    label = table.file.label
    holed = f"{int(np.logical_or.reduce(list(gaps.values())).sum()):,} of {len(table):,}"
    counts = listed([f"{name} {int(gap.sum()):,}" for name, gap in gaps.items()])
    if missing == "error":
        name, gap = next(iter(gaps.items()))
        raise DataError(
            f"{label} has missing values in {holed} rows: {counts}; the first of {shown(name)} is in "
            f"{table.file.place(int(np.argmax(gap)))}. missing='drop' leaves such rows out, missing='mean' lets the "
            "mean of the column stand for them"
        )
    dropped: Mask = np.zeros(len(table), dtype=bool)
    for name, gap in gaps.items():
        if missing == "drop" or name in targets:
            dropped |= gap
    said = []
    if missing == "mean" and not set(gaps) <= set(targets):
        said.append("the mean of its column stands for a number, none of the categories for a text")
    if dropped.any():
        what, count = "with one" if missing == "drop" else "without a target", int(dropped.sum())
        said.append(f"{counted(count, 'row')} {what} {'is' if count == 1 else 'are'} left out")
    notes.append(f"missing values in {holed} rows of {label}: {counts}; {'; '.join(said)}")
    if dropped.all():
        raise DataError(f"{label}: no row is left without a missing value: {counts} of {len(table):,} rows")
    return ~dropped if dropped.any() else None
