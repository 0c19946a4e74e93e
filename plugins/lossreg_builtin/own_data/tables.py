"""Tables as data sets: CSV and Parquet files, with a column for what is predicted."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch

from lossreg.data import Column, Data
from lossreg.inputs.table_files import open_table
from lossreg.values import one_line
from lossreg_builtin.own_data.hashing import hashing
from lossreg_builtin.own_data.splitting import facts_of
from lossreg_builtin.own_data.table_rows import (
    Rows,
    drawn,
    scaled_inputs,
    scaling_of,
    test_rows,
    training_rows,
    training_table,
)
from lossreg_builtin.own_data.targets import Target, constant, constant_labels, standardised
from lossreg_builtin.own_data.wanted import Wanted


def load_csv(
    path: Path,
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    task: Literal["classification", "regression", "multilabel"] | None = None,
    missing: Literal["error", "drop", "mean"] = "error",
    test: float = 0.2,
    test_path: Path | None = None,
    seed: int = 0,
) -> Data:
    """A CSV file with a line of names: one column is predicted from others.

    Columns of text are categories: a number for each, 1 for the cell's own and 0 for the others. All other numbers are
    standardised with the mean and the standard deviation of the training rows, the target of a regression too.

    Args:
        path: The file, in UTF-8; cells are separated by commas, semicolons, tabs or bars, as the line of names shows.
        target: The column that is predicted; or several, each a class that a row has (1) or has not (0).
        features: The columns that it is predicted from; None is all others.
        categorical: Those of them whose numbers are categories, as codes are.
        numeric: Those of them whose digits are numbers although some have leading zeros, as the codes have that are
            categories without that.
        task: `"classification"`, `"regression"` or, of several targets, `"multilabel"`; None is told from the target:
            text, or at most 20 different whole numbers, are classes.
        missing: Rows with missing cells are an `"error"`, or are left out (`"drop"`), or the mean of the column stands
            for a missing number and no category for a missing text (`"mean"`). A row without a target is left out by
            both.
        test: The share of the rows that is for testing, of each class.
        test_path: A file of rows for testing, of which no share is taken then: `test` and `seed` are left out.
        seed: Decides which rows are for testing.

    Raises:
        DataError: If a file or a cell is of no use, or a parameter has no effect; it is named with its line and column.
        MissingLibraryError: If pyarrow is not installed.
    """
    wanted = Wanted(target, features, categorical, numeric, task, missing, test, test_path, seed)
    return _load(Path(path), wanted, parquet=False)


def load_parquet(
    path: Path,
    target: str | Sequence[str],
    features: Sequence[str] | None = None,
    categorical: Sequence[str] = (),
    numeric: Sequence[str] = (),
    task: Literal["classification", "regression", "multilabel"] | None = None,
    missing: Literal["error", "drop", "mean"] = "error",
    test: float = 0.2,
    test_path: Path | None = None,
    seed: int = 0,
) -> Data:
    """A Parquet file: one column is predicted from others, as `load_csv` does it.

    Args:
        path: The file.
        target: The column that is predicted; or several, each a class that a row has (1) or has not (0).
        features: The columns that it is predicted from; None is all others.
        categorical: Those of them whose numbers are categories, as codes are.
        numeric: Those of them that are numbers, so that text in them is an error.
        task: `"classification"`, `"regression"` or, of several targets, `"multilabel"`; None is told from the target.
        missing: `"error"`, `"drop"` or `"mean"`.
        test: The share of the rows that is for testing, of each class.
        test_path: A file of rows for testing, of which no share is taken then: `test` and `seed` are left out.
        seed: Decides which rows are for testing.

    Raises:
        DataError: If a file or a cell is of no use, or a parameter has no effect; it is named with its row and column.
        MissingLibraryError: If pyarrow is not installed.
    """
    wanted = Wanted(target, features, categorical, numeric, task, missing, test, test_path, seed)
    return _load(Path(path), wanted, parquet=True)


def _load(path: Path, wanted: Wanted, *, parquet: bool) -> Data:
    wanted.check()
    notes: list[str] = []
    file = open_table(path, one_line(str(path)), wanted.targets, parquet=parquet)
    read = training_table(file, wanted)
    with hashing(path) as sha256:  # while the cells are scaled here; pyarrow reads on all cores
        rows, columns, target = training_rows(read, wanted, notes)
        is_test = None if wanted.test_path else drawn(rows, target, wanted, file.label, notes)
        scaling = scaling_of(rows, columns, is_test, file.label, notes)
        inputs, test_inputs = scaled_inputs(rows.cells, columns, scaling, is_test)
        files = [{"path": str(path), "sha256": sha256()}]
    if is_test is None:
        split: dict[str, Any] = {"by": "test_path"}
        held, facts = _held(wanted, columns, target, notes, parquet=parquet)
        test_inputs, _ = scaled_inputs(held.cells, columns, scaling)
        targets, test_targets = rows.target, held.target
        files.append(facts)
    else:
        split = facts_of(wanted.test, wanted.seed, stratified=target.classes is not None)
        targets, test_targets = rows.target[~is_test], rows.target[is_test]
    target_scaling = None
    if target.task == "regression":
        notes += constant(targets, wanted.targets[0])
        targets, test_targets, target_scaling = standardised(targets, test_targets)
    elif target.task == "multilabel":
        notes += constant_labels(targets, wanted.targets)
    return Data(
        train=(torch.from_numpy(inputs), torch.from_numpy(targets)),
        test=(torch.from_numpy(test_inputs), torch.from_numpy(test_targets)),
        task=target.task,
        in_shape=inputs.shape[1:],
        num_classes=target.class_names and len(target.class_names),
        out_features=None if target.class_names else 1,
        input_scaling=scaling,
        target_scaling=target_scaling,
        class_names=target.class_names,
        columns=columns,
        source={"files": files, "split": split, "missing": wanted.missing, "notes": notes},
    )


def _held(
    wanted: Wanted, columns: list[Column], target: Target, notes: list[str], *, parquet: bool
) -> tuple[Rows, dict[str, str]]:
    """The rows of the file for testing, and what the run record says of it."""
    path = Path(wanted.test_path or "")
    file = open_table(path, one_line(str(path)), wanted.targets, parquet=parquet)
    with hashing(path) as sha256:
        rows = test_rows(file, columns, target, wanted, notes)
        return rows, {"path": str(path), "sha256": sha256()}
