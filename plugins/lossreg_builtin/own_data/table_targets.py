"""The target of a table: the cells of its column, or of its columns, as class indices, numbers, or 0 and 1."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs
import numpy as np

from lossreg.errors import DataError
from lossreg.inputs.rows import UNKNOWN, codes_in
from lossreg.inputs.tables import Cells, Numbers, Table, Texts, check_finite, listed, not_a_number
from lossreg.values import one_line, shown
from lossreg_builtin.own_data.columns import check_not_numbers
from lossreg_builtin.own_data.targets import (
    Array,
    Target,
    names_of,
    numbered,
    target_of_numbers,
    target_of_texts,
)
from lossreg_builtin.own_data.wanted import Wanted

_TRUTH = {"true": 1.0, "false": 0.0}


def target_cells(table: Table, wanted: Wanted) -> list[Cells]:
    """The cells of the target, of each of its columns.

    Raises:
        DataError: If a text is among numbers, a number is not finite, or one of several columns is not of 0 and 1.
    """
    if wanted.is_multilabel:
        return [_zeros_and_ones(table, name) for name in wanted.targets]
    (name,) = wanted.targets
    cells = table.cells(name)
    if isinstance(cells, Numbers):
        check_finite(table, name, cells)
    elif wanted.task == "regression":
        raise not_a_number(table, name, cells, ", as the target of a regression is")
    elif wanted.task is None:
        check_not_numbers(table, name, cells, "task='classification' takes all of its values as classes")
    return [cells]


def target_of(cells: Sequence[Cells], wanted: Wanted, label: str, codes: Mapping[str, str]) -> Target:
    """What is predicted.

    Args:
        cells: Those that `target_cells` gave, of the rows that are used.
        wanted: What is wanted of the table.
        label: The file, in a message.
        codes: Columns whose cells have leading zeros, with one of them.

    Raises:
        DataError: If there is one class alone, or there are too many.
    """
    if wanted.is_multilabel:
        values = values_of(cells)
        ones = dict(zip(wanted.targets, values.sum(axis=0).tolist(), strict=True))
        counts = listed([f"{name} {count:,.0f}" for name, count in ones.items()])
        reason = f"{len(ones)} targets: a multilabel classification; rows of {len(values):,} that have each: {counts}"
        return Target("multilabel", values, wanted.targets, reason)
    (name,), (last,) = wanted.targets, cells
    written = one_line(name)
    if isinstance(last, Numbers):
        return target_of_numbers(last.values, written, label, wanted.task, is_whole=last.is_whole)
    if name not in codes:
        return target_of_texts(last, written, label)
    otherwise = "task='regression' predicts the number"
    try:
        found = target_of_texts(last, written, label)
    except DataError as error:
        error.message += f" ({otherwise})"
        raise
    classes = f"a classification of {len(found.class_names or ())} classes"
    reason = f"{written} has leading zeros, such as {shown(codes[name])}: {classes} ({otherwise})"
    return attrs.evolve(found, reason=reason)


def held_cells(table: Table, wanted: Wanted, target: Target) -> list[Cells]:
    """The cells of the target in rows for testing, with the classes of the training.

    Raises:
        DataError: If one is not as in the training rows.
    """
    if target.task == "multilabel":
        return [_zeros_and_ones(table, name) for name in wanted.targets]
    (name,) = wanted.targets
    cells = table.cells(name)
    if target.task == "classification":
        return [_known_classes(table, name, cells, target)]
    if isinstance(cells, Texts):
        raise not_a_number(table, name, cells, ", as the target of a regression is")
    check_finite(table, name, cells)
    return [cells]


def values_of(cells: Sequence[Cells]) -> Array:
    """The cells of a target as a run takes them: class indices, numbers, or `(N, classes)` of 0 and 1."""
    each = [one.values if isinstance(one, Numbers) else one.codes for one in cells]
    return each[0] if len(each) == 1 else np.column_stack(each).astype(np.float32)


def _zeros_and_ones(table: Table, name: str) -> Numbers:
    """The cells of a class that a row has or has not: 0 or 1, or a truth value.

    Raises:
        DataError: That names the first that is neither.
    """
    cells = table.cells(name)
    if isinstance(cells, Texts):
        truth = np.array([*(_TRUTH.get(word.strip().lower(), np.inf) for word in cells.words), np.nan])
        values = truth[cells.codes]  # the last one for what is missing
    else:
        values = cells.values
    wrong = ~(np.isnan(values) | (values == 0) | (values == 1))
    if wrong.any():
        row = int(np.argmax(wrong))
        raise DataError(
            f"{table.where(name, row)}: {table.written(name, row)} is neither 0 nor 1, as each target of a multilabel "
            "classification is"
        )
    return Numbers(values, is_whole=True)


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
