"""The rows of a table as samples: which are complete, which are for testing, and how they are scaled."""

from __future__ import annotations

import math
from collections.abc import Mapping

import attrs
import numpy as np

from lossreg.data import Column, Scaling
from lossreg.errors import DataError
from lossreg.inputs.rows import all_numbers, known_cells
from lossreg.inputs.tables import Cells, Numbers, Table, TableFile, Texts, listed
from lossreg.values import one_line, shown
from lossreg_builtin.own_data.columns import Mask, column_of, complete_rows, feature_names, kept
from lossreg_builtin.own_data.splitting import test_samples, untested
from lossreg_builtin.own_data.table_targets import held_cells, target_cells, target_of, values_of
from lossreg_builtin.own_data.targets import Array, Target
from lossreg_builtin.own_data.wanted import Wanted

BLOCK = 1 << 14  # rows that are scaled at a time: what fits into a core's cache
CANCELLED = 1e-10  # a variance that is smaller beside the squared mean has lost digits


@attrs.frozen(eq=False)
class Rows:
    """Rows that are used.

    Attributes:
        cells: Of each column.
        target: Class indices, numbers, or 0 and 1 for each class.
    """

    cells: list[Cells]
    target: Array


@attrs.frozen(eq=False)
class Read:
    """The columns of a table that are wanted.

    Attributes:
        table: The table, with these columns.
        names: Those that are inputs.
        codes: Those whose cells are digits with leading zeros, each with one of them; they are texts.
    """

    table: Table
    names: list[str]
    codes: Mapping[str, str]


def training_table(file: TableFile, wanted: Wanted) -> Read:
    """Reads the columns that are wanted."""
    names = feature_names(file, wanted)
    every = [*names, *wanted.targets]
    table = file.read(every, wanted.categorical)
    is_told = wanted.task == "regression" or wanted.is_multilabel
    told = {*wanted.categorical, *wanted.numeric, *(wanted.targets if is_told else ())}  # what its cells are
    codes = file.codes([name for name in every if name not in told and table.has_numbers(name)])
    if codes:
        table = file.read(every, [*wanted.categorical, *codes])
    return Read(table, names, codes)


def training_rows(read: Read, wanted: Wanted, notes: list[str]) -> tuple[Rows, list[Column], Target]:
    """The rows that are complete, the columns, and what is predicted."""
    found = [column_of(read.table, name, wanted, read.codes.get(name)) for name in read.names]
    cells = [*(each for _, each in found), *target_cells(read.table, wanted)]
    cells = _complete(read.table, read.names, cells, wanted, notes)
    label = read.table.file.label
    target = target_of(cells[len(found) :], wanted, label, read.codes)
    notes.insert(0, f"{label}: {target.reason}")
    columns = [column for column, _ in found]
    for name, code in read.codes.items():
        if name in read.names:
            notes.append(
                f"{one_line(name)} has leading zeros, such as {shown(code)}: its cells are categories "
                f"(numeric=[{name!r}] makes numbers of them)"
            )
    several = [f"{column.name} {column.width}" for column in columns if column.categories is not None]
    if several:
        notes.append(f"text becomes a number for each of its categories: {listed(several)}")
    return Rows(cells[: len(found)], target.values), columns, target


def _complete(table: Table, names: list[str], cells: list[Cells], wanted: Wanted, notes: list[str]) -> list[Cells]:
    """The cells of the columns and of the target, of the rows that are used."""
    named = dict(zip([*names, *wanted.targets], cells, strict=True))
    rows = complete_rows(table, named, wanted.targets, wanted.missing, notes)
    return cells if rows is None else kept(cells, rows)


def drawn(rows: Rows, target: Target, wanted: Wanted, label: str, notes: list[str]) -> Mask:
    """Which rows are for testing.

    Raises:
        DataError: If there are too few.
    """
    is_test = test_samples(len(rows.target), wanted.test, wanted.seed, target.classes)
    held = int(is_test.sum())
    if not held:
        raise DataError(f"{label} has too few rows for a test split: {len(is_test):,}; name a file of rows: test_path")
    by_class = ", of each class its share" if target.classes is not None else ""
    notes.append(
        f"{len(is_test) - held:,} rows to train on and {held:,} for testing, drawn by seed {wanted.seed}{by_class}"
    )
    notes += untested(target.classes, target.class_names)
    return is_test


def test_rows(file: TableFile, columns: list[Column], target: Target, wanted: Wanted, notes: list[str]) -> Rows:
    """The rows of a file for testing, with the categories and classes of the training.

    Raises:
        DataError: If a column is missing, or a text is not in the training.
    """
    names = [column.name for column in columns]
    file.check_names([*names, *wanted.targets], "a column of the training table")
    texts = [column.name for column in columns if column.categories is not None]
    table = file.read([*names, *wanted.targets], [*texts, *(wanted.targets if target.is_text else ())])
    cells: list[Cells] = [known_cells(table, attrs.evolve(column, optional=True)) for column in columns]
    cells += held_cells(table, wanted, target)
    cells = _complete(table, names, cells, wanted, notes)
    notes.append(f"{len(cells[0]):,} rows for testing are those of {file.label}")
    return Rows(cells[: len(columns)], values_of(cells[len(columns) :]))


def scaling_of(rows: Rows, columns: list[Column], is_test: Mask | None, label: str, notes: list[str]) -> Scaling:
    """Mean and standard deviation of each number of an input in the training rows; categories stay as they are.

    Args:
        rows: Those for training, and for testing if they are of the same file.
        columns: The columns.
        is_test: Which rows are for testing; None is none.
        label: The file, in a message.
        notes: Gets a sentence if a column is the same in all rows.

    Raises:
        DataError: If a column is empty in all training rows, or its numbers are too great to compute with.
    """
    held = np.empty(0, dtype=np.int64) if is_test is None else np.flatnonzero(is_test)
    found = [_moments(cells, held, column.name, label) for cells, column in zip(rows.cells, columns, strict=True)]
    constant = [column.name for column, (_, std) in zip(columns, found, strict=True) if std == 0.0]
    if constant:
        notes.append(f"the same in all training rows: {listed(constant)}")
    wide = [moments for column, moments in zip(columns, found, strict=True) for _ in range(column.width)]
    return Scaling([mean for mean, _ in wide], [std or 1.0 for _, std in wide])


def _moments(cells: Cells, is_held: Array, name: str, label: str) -> tuple[float, float]:
    """Mean and standard deviation of the numbers that are there, but for some rows; 0 and 1 of a category."""
    if isinstance(cells, Texts):
        return 0.0, 1.0
    values, total, held = cells.values, cells.total, cells.values[is_held]
    if cells.has_missing:
        values = np.delete(values, is_held)
        values = values[~np.isnan(values)]
        total, held = float(values.sum()), values[:0]
    if not len(values):
        raise DataError(f"{label}: column {shown(name)} is empty in all training rows; leave it out of features")
    # The other rows are taken off the sums of all: they are few, and copying the rest takes longer.
    count = len(values) - len(held)
    with np.errstate(over="ignore", invalid="ignore"):
        mean = (total - float(held.sum())) / count
        variance = (_squares(values, mean) - _squares(held, mean)) / count
    if not math.isfinite(mean + variance):
        most = np.abs(values).max()
        raise DataError(f"{label}: column {shown(name)} holds numbers up to {most:g}, too great to scale")
    if variance > CANCELLED * mean**2:
        return mean, math.sqrt(variance)
    train = np.delete(values, is_held) if len(held) else values
    return float(train.mean()), 0.0 if train.min() == train.max() else float(train.std())


def _squares(values: Array, mean: float) -> float:
    """The sum of the squared differences from the mean; in blocks, which stay in a core's cache."""
    total = 0.0
    for first in range(0, len(values), BLOCK):
        shifted = values[first : first + BLOCK] - mean
        # A product of vectors would use the threads of BLAS, which wait for each other where others work, too.
        total += float(np.multiply(shifted, shifted, out=shifted).sum())
    return total


def scaled_inputs(
    cells: list[Cells], columns: list[Column], scaling: Scaling, is_test: Mask | None = None
) -> list[Array]:
    """Rows as a run takes them, `(N, numbers)` in float32; what is missing is the mean.

    Args:
        cells: Of each column.
        columns: The columns.
        scaling: How the numbers of an input are scaled.
        is_test: Which rows are for testing; None is none.

    Returns:
        The rows for training, and those for testing.
    """
    count, width = len(cells[0]), len(scaling.mean)
    is_test = np.zeros(count, dtype=bool) if is_test is None else is_test
    held = int(is_test.sum())
    parts = [np.empty((rows, width), dtype=np.float32) for rows in (count - held, held)]

    block, one, filled = np.empty((BLOCK, width), dtype=np.float32), np.empty(BLOCK), [0, 0]
    for first in range(0, count, BLOCK):
        rows = slice(first, first + BLOCK)
        mask = is_test[rows]
        for place, numbers in enumerate(all_numbers(cells, columns, rows)):
            scaled = one[: len(mask)]
            np.subtract(numbers, scaling.mean[place], out=scaled)
            np.divide(scaled, scaling.std[place], out=scaled)
            block[: len(mask), place] = scaled
        for part, chosen in enumerate((np.flatnonzero(~mask), np.flatnonzero(mask))):
            end = filled[part] + len(chosen)
            # With "clip" numpy needs no copy; no index is out of range.
            np.take(block, chosen, axis=0, out=parts[part][filled[part] : end], mode="clip")
            filled[part] = end
    if any(isinstance(each, Numbers) and each.has_missing for each in cells):
        for inputs in parts:
            np.nan_to_num(inputs, copy=False)
    return parts
