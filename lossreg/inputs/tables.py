"""Tables from files: CSV and Parquet, read by pyarrow; what is wrong is told with its line and column."""

from __future__ import annotations

import contextlib
import functools
import importlib.util
import itertools
import math
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from lossreg.errors import DataError, MissingLibraryError
from lossreg.inputs import csv_lines
from lossreg.suggestions import did_you_mean
from lossreg.values import decimal_comma_hint, one_line, shown

#: What stands for a missing value, beside an empty cell.
MISSING_WORDS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null")
BLOCK = 1 << 21  # bytes that a thread parses at a time; with pyarrow's own half of that it takes a tenth longer
LARGE_BLOCK = 1 << 26  # bytes; for rows that are longer than a megabyte, or have line breaks in a cell
SHOWN = 12  # names of columns in a message


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

    def where(self, name: str, row: int) -> str:
        """A cell in a message: the file, the line or row, and the column."""
        return f"{self.file.label}, {self.file.place(row)}, column {shown(name)}"

    def written(self, name: str, row: int) -> str:
        """A cell as the file has it."""
        written = self.file.written(name, row)
        return str(self.arrow.column(name)[row].as_py()) if written is None else written


@attrs.frozen(eq=False)
class TableFile:
    """A table in a file, of which the names of the columns are known.

    Attributes:
        label: The file in a message.
        names: Of the columns.
    """

    label: str
    names: list[str]

    def read(self, columns: Sequence[str], texts: Collection[str] = ()) -> Table:
        """Reads some columns.

        Args:
            columns: Their names, which the file has.
            texts: Those of them whose cells are texts, even if all are numbers.

        Raises:
            DataError: If the file is damaged, or has no rows.
        """
        raise NotImplementedError

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
    """Names in a message."""
    more = f" and {len(names) - SHOWN} more" if len(names) > SHOWN else ""
    return one_line(", ".join(names[:SHOWN])) + more


@attrs.frozen(eq=False)
class CsvFile(TableFile):
    """A CSV file with a line of names."""

    source: Path | bytes = attrs.field(repr=False)
    delimiter: str
    lines: int

    def read(self, columns: Sequence[str], texts: Collection[str] = ()) -> Table:
        """Reads some columns; dates and times, and truth values, are texts."""
        import pyarrow as pa

        table = self._parsed(columns, texts)
        plain = (pa.types.is_integer, pa.types.is_floating, pa.types.is_string, pa.types.is_null)
        if any(pa.types.is_binary(field.type) for field in table.schema):
            self._refuse("it is not text in UTF-8")
        others = [field.name for field in table.schema if not any(is_kind(field.type) for is_kind in plain)]
        if others:  # pyarrow has made dates of them
            table = self._parsed(columns, [*texts, *others])
        if not table.num_rows:
            raise DataError(f"{self.label} has a line of names, and no rows")
        self._check_end(table)
        return Table(self, table)

    def _check_end(self, table: Any) -> None:
        """Checks that no quote is left open: the last cell would be all that follows it, which pyarrow takes."""
        last = table.column(self.names[-1])[-1].as_py()
        if isinstance(last, str) and ("\n" in last or "\r" in last):
            why = csv_lines.fault(self.source, self.delimiter, self.lines, self.names)
            if why is not None:
                raise DataError(f"{self.label}: {why}")

    def _parsed(self, columns: Sequence[str], texts: Collection[str]) -> Any:
        import pyarrow as pa
        from pyarrow import csv

        convert = csv.ConvertOptions(
            include_columns=list(dict.fromkeys([*columns, self.names[-1]])),  # the last one for `_check_end`
            column_types=dict.fromkeys(texts, pa.string()),
            null_values=list(MISSING_WORDS),
            strings_can_be_null=True,
            true_values=[],  # truth values are words like others
            false_values=[],
        )
        error: Exception
        for block, breaks in ((BLOCK, False), (LARGE_BLOCK, True)):
            read = csv.ReadOptions(column_names=self.names, skip_rows=self.lines, block_size=block)
            parse = csv.ParseOptions(delimiter=self.delimiter, newlines_in_values=breaks)
            try:
                with self._stream() as stream:
                    return csv.read_csv(stream, read, parse, convert)
            except pa.ArrowInvalid as failure:
                if "Empty CSV" in str(failure):
                    raise DataError(f"{self.label} has a line of names, and no rows") from failure
                error = failure
        return self._refuse(str(error))

    @contextlib.contextmanager
    def _stream(self) -> Iterator[Any]:
        import pyarrow as pa

        opened = pa.BufferReader(self.source) if isinstance(self.source, bytes) else pa.OSFile(str(self.source))
        with opened as stream:
            yield stream

    def _refuse(self, otherwise: str) -> Any:
        """Raises the error of a file that cannot be read, with the line."""
        why = csv_lines.fault(self.source, self.delimiter, self.lines, self.names)
        raise DataError(f"{self.label}: {why or one_line(otherwise)}")

    def _row(self, row: int) -> tuple[int, list[str]]:
        found = csv_lines.rows(self.source, self.delimiter, self.lines)
        return next(itertools.islice(found, row, None))

    def place(self, row: int) -> str:
        """The line of a row, as an editor counts."""
        return f"line {self._row(row)[0]}"

    def written(self, name: str, row: int) -> str | None:
        """A cell as the file has it."""
        return self._row(row)[1][self.names.index(name)]

    def _no_names(self) -> str:
        if not csv_lines.looks_like_cells(self.names):
            return ""
        return (
            f" (its first line, {shown(','.join(self.names))}, looks like a row; a table begins with a line of names)"
        )


@attrs.frozen(eq=False)
class ParquetFile(TableFile):
    """A Parquet file."""

    source: Path | bytes = attrs.field(repr=False)

    def read(self, columns: Sequence[str], texts: Collection[str] = ()) -> Table:
        """Reads some columns; dates and times, and truth values, are texts."""
        import pyarrow as pa

        with _opened_parquet(self.source, self.label) as file:
            try:
                table = file.read(columns=list(columns))
            except (pa.ArrowException, OSError) as error:
                raise DataError(f"{self.label} is damaged: {one_line(str(error))}") from error
        for place, field in enumerate(table.schema):
            kind = field.type
            if pa.types.is_temporal(kind) or pa.types.is_boolean(kind) or field.name in texts:
                with contextlib.suppress(pa.ArrowException):  # what has no text is refused by its name later
                    table = table.set_column(place, field.name, table.column(place).cast(pa.string()))
        if not table.num_rows:
            raise DataError(f"{self.label} has no rows")
        return Table(self, table)


@contextlib.contextmanager
def _opened_parquet(source: Path | bytes, label: str) -> Iterator[Any]:
    import pyarrow as pa
    from pyarrow import parquet

    try:
        file = parquet.ParquetFile(pa.BufferReader(source) if isinstance(source, bytes) else str(source))
    except (pa.ArrowException, OSError) as error:
        raise DataError(f"{label} is not a Parquet file, or damaged: {one_line(str(error))}") from error
    with file:
        yield file


def open_table(source: Path | bytes, label: str, expected: Collection[str], *, parquet: bool) -> TableFile:
    """A table, of which the names are read.

    Args:
        source: The file, or what it holds.
        label: The file in a message.
        expected: Columns that it should have; a CSV file shows by them what stands between two cells.
        parquet: Whether it is Parquet, not CSV.

    Raises:
        MissingLibraryError: If pyarrow is not installed.
        DataError: If it cannot be read, or has no names.
    """
    check_library(label)
    if isinstance(source, Path):
        check_file(source, label)
    if parquet:
        with _opened_parquet(source, label) as file:
            names = list(file.schema_arrow.names)
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise DataError(f"{label}: two columns are named {shown(twice)}")
        return ParquetFile(label, names, source)
    try:
        names, delimiter, lines = csv_lines.read_names(source, expected)
    except OSError as error:
        raise DataError(f"{label} cannot be read: {error.strerror}") from error
    except DataError as error:
        raise DataError(f"{label}: {error.message}") from error
    return CsvFile(label, names, source, delimiter, lines)


def check_library(label: str) -> None:
    """Checks that pyarrow is installed.

    Raises:
        MissingLibraryError: If it is not.
    """
    if importlib.util.find_spec("pyarrow") is None:
        raise MissingLibraryError(
            f"{label}: tables are read by pyarrow, which is not installed: pip install 'lossreg[tables]'",
            library="pyarrow",
        )


def check_file(path: Path, label: str) -> None:
    """Checks that a file can be read: a pipe or a device is none, and is not waited for.

    Raises:
        DataError: If it is missing, or something else.
    """
    try:
        mode = path.stat().st_mode
        if not stat.S_ISREG(mode):
            raise DataError(f"{label} is {'a folder' if stat.S_ISDIR(mode) else 'not a regular file'}, not a file")
        with path.open("rb"):
            pass
    except FileNotFoundError:
        raise DataError(f"{label} does not exist") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}") from error


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


def is_number(text: str) -> bool:
    """Whether a text is a number as tables have them."""
    try:
        float(text)
    except ValueError:
        return False
    return "_" not in text  # which Python takes between digits


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
