"""The rows of a table as samples: what is asked of it, what is complete, what is for testing, and how it is scaled."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import attrs
import numpy as np

from lossreg.data import Column, Scaling
from lossreg.errors import DataError
from lossreg.inputs.rows import UNKNOWN, all_numbers, codes_in, known_cells
from lossreg.inputs.tables import Cells, Numbers, Table, TableFile, Texts, check_finite, listed, not_a_number
from lossreg.values import one_line, shown
from lossreg_builtin.own_data.columns import (
    Mask,
    check_not_numbers,
    column_of,
    complete_rows,
    feature_names,
    kept,
)
from lossreg_builtin.own_data.splitting import check_share, check_unused, test_samples, untested
from lossreg_builtin.own_data.targets import (
    Array,
    Target,
    Task,
    check_task,
    names_of,
    numbered,
    target_of_numbers,
    target_of_texts,
)

Missing = Literal["error", "drop", "mean"]


BLOCK = 1 << 14  # rows that are scaled at a time: what fits into a core's cache
CANCELLED = 1e-10  # a variance that is smaller beside the squared mean has lost digits


@attrs.frozen
class Wanted:
    """What is wanted of a table; see `load_csv`."""

    target: str
    features: Sequence[str] | None
    categorical: Sequence[str]
    task: Task | None
    missing: Missing
    test: float
    test_path: Path | None
    seed: int

    def check(self) -> None:
        """Checks what does not depend on the table.

        Raises:
            DataError: If a value is out of range, or has no effect.
        """
        check_task(self.task)
        check_share(self.test, self.seed)
        if self.test_path:
            check_unused(self.test, self.seed, f"those of test_path, {one_line(str(self.test_path))}")
        if self.missing not in ("error", "drop", "mean"):
            raise DataError(f"missing={shown(self.missing)} is not one of error, drop and mean")


@attrs.frozen(eq=False)
class Rows:
    """Rows that are used.

    Attributes:
        cells: Of each column.
        target: Class indices, or numbers.
    """

    cells: list[Cells]
    target: Array


def training_table(file: TableFile, wanted: Wanted) -> tuple[Table, list[str]]:
    """The columns that are wanted, and the names of those that are inputs."""
    names = feature_names(file, wanted.target, wanted.features, wanted.categorical)
    return file.read([*names, wanted.target], wanted.categorical), names


def training_rows(
    table: Table, names: list[str], wanted: Wanted, notes: list[str]
) -> tuple[Rows, list[Column], Target]:
    """The rows that are complete, the columns, and what is predicted."""
    found = [
        column_of(table, name, is_category=name in wanted.categorical, optional=wanted.missing == "mean")
        for name in names
    ]
    all_cells = [*(each for _, each in found), _target_cells(table, wanted)]
    *cells, last = _complete(table, names, all_cells, wanted, notes)
    name, label = one_line(wanted.target), table.file.label
    if isinstance(last, Texts):
        target = target_of_texts(last, name, label)
    else:
        target = target_of_numbers(last.values, name, label, wanted.task, is_whole=last.is_whole)
    notes.insert(0, f"{label}: {target.reason}")
    columns = [column for column, _ in found]
    several = [f"{column.name} {column.width}" for column in columns if column.categories is not None]
    if several:
        notes.append(f"text becomes a number for each of its categories: {listed(several)}")
    return Rows(cells, target.values), columns, target


def _complete(table: Table, names: list[str], cells: list[Cells], wanted: Wanted, notes: list[str]) -> list[Cells]:
    """The cells of the columns and of the target, of the rows that are used."""
    named = dict(zip([*names, wanted.target], cells, strict=True))
    rows = complete_rows(table, named, wanted.target, wanted.missing, notes)
    return cells if rows is None else kept(cells, rows)


def _target_cells(table: Table, wanted: Wanted) -> Cells:
    """The cells of the target.

    Raises:
        DataError: If a text is among numbers, or a number is not finite.
    """
    cells = table.cells(wanted.target)
    if isinstance(cells, Numbers):
        check_finite(table, wanted.target, cells)
    elif wanted.task == "regression":
        raise not_a_number(table, wanted.target, cells, ", as the target of a regression is")
    elif wanted.task is None:
        check_not_numbers(table, wanted.target, cells, "task='classification' takes all of its values as classes")
    return cells


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
    file.check_names([*names, wanted.target], "a column of the training table")
    texts = [column.name for column in columns if column.categories is not None]
    table = file.read([*names, wanted.target], [*texts, wanted.target] if target.is_text else texts)
    cells = [known_cells(table, attrs.evolve(column, optional=True)) for column in columns]
    last = table.cells(wanted.target)
    if target.task == "classification":
        last = _known_classes(table, wanted.target, last, target)
    elif isinstance(last, Texts):
        raise not_a_number(table, wanted.target, last, ", as the target of a regression is")
    else:
        check_finite(table, wanted.target, last)
    cells.append(last)
    rows = complete_rows(
        table, dict(zip([*names, wanted.target], cells, strict=True)), wanted.target, wanted.missing, notes
    )
    if rows is not None:
        cells = kept(cells, rows)
    last = cells.pop()
    notes.append(f"{len(table) if rows is None else int(rows.sum()):,} rows for testing are those of {file.label}")
    return Rows(cells, last.values if isinstance(last, Numbers) else last.codes)


def _known_classes(table: Table, name: str, cells: Cells, target: Target) -> Texts:
    """The classes of rows for testing, as class indices.

    Raises:
        DataError: If one is not in the training.
    """
    if isinstance(cells, Numbers):
        check_finite(table, name, cells)
        different, codes = numbered(np.nan_to_num(cells.values))
        cells = Texts(np.where(cells.missing, -1, codes), names_of(different))
    assert target.class_names is not None  # noqa: S101  # of a classification
    found = codes_in(cells, target.class_names)
    if len(found) and found.min() == UNKNOWN:
        row = int(np.argmax(found == UNKNOWN))
        raise DataError(
            f"{table.where(name, row)}: the class {shown(cells.words[cells.codes[row]])} is not in the training rows, "
            f"whose classes are {listed(target.class_names)}"
        )
    return Texts(found, list(target.class_names))


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
