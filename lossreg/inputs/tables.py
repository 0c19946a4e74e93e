"""Tables: columns of numbers and texts; what is wrong with a cell is told with its line and column."""

from __future__ import annotations

import abc
import functools
import math
import re
from collections.abc import Collection, Sequence
from typing import Any

import attrs
import numpy as np

from lossreg.errors import DataError
from lossreg.suggestions import did_you_mean
from lossreg.values import decimal_comma_hint, one_line, shown

SHOWN = 12  # names of columns in a message
_WITH_COMMA = re.compile(r"[+-]?(?:\d*|\d{1,3}(?:[.' \xa0\u202f]\d{3})+),\d+(?:[eE][+-]?\d+)?")


@attrs.frozen(eq=False)
class Numbers:
    """The cells of a column of numbers.

    Attributes:
        values: float64; NaN where a cell is missing.
        is_whole: Whether the file has whole numbers there.
    """

    values: np.ndarray[Any, Any]
    is_whole: bool

    def __len__(self) -> int:
        return len(self.values)

    @property
    def missing(self) -> np.ndarray[Any, Any]:
        """Which cells are missing."""
        found: np.ndarray[Any, Any] = np.isnan(self.values)
        return found

    @functools.cached_property
    def total(self) -> float:
        """The sum of all; NaN where a cell is missing."""
        return float(self.values.sum())

    @property
    def has_missing(self) -> bool:
        """Whether a cell is missing, or is not finite."""
        return not math.isfinite(self.total)


@attrs.frozen(eq=False)
class Texts:
    """The cells of a column of text.

    Attributes:
        codes: For each cell the place of its text in `words`, or -1 where it is missing.
        words: The different texts.
    """

    codes: np.ndarray[Any, Any]
    words: list[str]

    def __len__(self) -> int:
        return len(self.codes)

    @property
    def missing(self) -> np.ndarray[Any, Any]:
        """Which cells are missing."""
        return self.codes < 0

    @property
    def has_missing(self) -> bool:
        """Whether a cell is missing."""
        return bool(len(self.codes)) and int(self.codes.min()) < 0


Cells = Numbers | Texts


@attrs.frozen(eq=False)
class Table:
    """The columns of a table that are wanted.

    Attributes:
        file: What they were read from.
        arrow: A `pyarrow.Table`.
    """

    file: TableFile
    arrow: Any = attrs.field(repr=False)

    def __len__(self) -> int:
        return int(self.arrow.num_rows)

    def cells(self, name: str) -> Cells:
        """The cells of a column, as numbers where all are numbers.

        Raises:
            DataError: If it holds other values than numbers and text.
        """
        import pyarrow as pa

        column = self.arrow.column(name)
        if pa.types.is_dictionary(column.type):
            column = column.cast(column.type.value_type)
        kind = column.type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            column = column.cast(pa.float64(), safe=False) if pa.types.is_decimal(kind) else column
            values = column.to_numpy().astype(np.float64, copy=False)
            return Numbers(values, is_whole=pa.types.is_integer(kind))
        if pa.types.is_null(kind):
            return Numbers(np.full(len(column), np.nan), is_whole=False)
        if not (pa.types.is_string(kind) or pa.types.is_large_string(kind)):
            raise DataError(f"{self.file.label}: column {shown(name)} holds {kind}, and neither numbers nor text")
        encoded = column.combine_chunks().dictionary_encode()
        if isinstance(encoded, pa.ChunkedArray):
            encoded = encoded.unify_dictionaries().combine_chunks()
        codes = encoded.indices.fill_null(-1).to_numpy(zero_copy_only=False).astype(np.int64, copy=False)
        return Texts(codes, encoded.dictionary.to_pylist())

    def has_numbers(self, name: str) -> bool:
        """Whether the cells of a column were read as numbers."""
        import pyarrow as pa

        kind = self.arrow.column(name).type
        return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind))

    def where(self, name: str, row: int) -> str:
        """A cell in a message: the file, the line or row, and the column."""
        return f"{self.file.label}, {self.file.place(row)}, column {shown(name)}"

    def written(self, name: str, row: int) -> str:
        """A cell as the file has it."""
        written = self.file.written(name, row)
        return str(self.arrow.column(name)[row].as_py()) if written is None else written


@attrs.frozen(eq=False)
class TableFile(abc.ABC):
    """A table in a file, of which the names of the columns are known.

    Attributes:
        label: The file in a message.
        names: Of the columns.
    """

    label: str
    names: list[str]

    @abc.abstractmethod
    def read(self, columns: Sequence[str], texts: Collection[str] = ()) -> Table:
        """Reads some columns.

        Args:
            columns: Their names, which the file has.
            texts: Those of them whose cells are texts, even if all are numbers.

        Raises:
            DataError: If the file is damaged, or has no rows.
        """

    def codes(self, columns: Sequence[str]) -> dict[str, str]:
        """Those of some columns whose cells are digits with leading zeros, such as postal codes, each with one of them.

        Only a text shows them: as numbers, as which they would be read, they have none.

        Args:
            columns: Names of columns that were read as numbers.
        """
        del columns
        return {}

    def place(self, row: int) -> str:
        """A row in a message."""
        return f"row {row + 1}"

    def written(self, name: str, row: int) -> str | None:
        """A cell as the file has it, if it holds text."""
        del name, row
        return None

    def check_names(self, names: Sequence[str], what: str) -> None:
        """Checks that the table has these columns.

        Raises:
            DataError: That names the one that it does not have.
        """
        for name in names:
            if name not in self.names:
                raise DataError(
                    f"{self.label} has no column {shown(name)}, which is {what}.{did_you_mean(name, self.names)} "
                    f"Columns: {listed(self.names)}{self._no_names()}"
                )

    def _no_names(self) -> str:
        return ""


def listed(names: Sequence[str]) -> str:
    """Names in a message; quoted where blanks around one would not be seen."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return one_line(", ".join(name if name == name.strip() else shown(name) for name in names[:SHOWN])) + more


def not_a_number(table: Table, name: str, cells: Texts, advice: str) -> DataError:
    """The error of a text in a column of numbers, which names the first.

    Args:
        table: The table.
        name: Of the column.
        cells: Its cells.
        advice: What else can be done, as the end of the message.
    """
    wrong = np.array([not is_number(word) for word in cells.words])
    row = int(np.argmax((cells.codes >= 0) & wrong[cells.codes]))
    text = cells.words[cells.codes[row]]
    return DataError(f"{table.where(name, row)}: {shown(text)} is not a number{decimal_comma_hint(text)}{advice}")


def as_numbers(cells: Texts) -> Cells:
    """Texts as the numbers that all of them are; as they are, if one is not."""
    if not all(map(is_number, cells.words)):
        return cells
    values = np.array([*map(float, cells.words), np.nan])  # the last one for what is missing
    return Numbers(values[cells.codes], is_whole=False)


def is_number(text: str) -> bool:
    """Whether a text is a number as tables have them."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python takes between digits


def has_decimal_comma(text: str) -> bool:
    """Whether a text is a number as it is written where the decimals follow a comma.

    Example:
        >>> [has_decimal_comma(text) for text in ("2,5", "-1.234,5", "2.5", "1,2,3", "a, 5")]
        [True, True, False, False, False]
    """
    return "," in text and _WITH_COMMA.fullmatch(text.strip()) is not None


def check_finite(table: Table, name: str, cells: Numbers) -> None:
    """Checks that each number that is there is finite.

    Raises:
        DataError: That names the first that is not.
    """
    if cells.has_missing:
        infinite = np.isinf(cells.values)
        if infinite.any():
            row = int(np.argmax(infinite))
            raise DataError(f"{table.where(name, row)}: {table.written(name, row)} is not a finite number")
