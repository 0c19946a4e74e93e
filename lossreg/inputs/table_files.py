"""Tables from files: CSV and Parquet, read by pyarrow; what cannot be read is told with its line."""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
import stat
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any

import attrs
import numpy as np

from lossreg.errors import DataError, MissingLibraryError
from lossreg.inputs import csv_lines
from lossreg.inputs.tables import Table, TableFile
from lossreg.values import one_line, shown

#: What stands for a missing value, beside an empty cell.
MISSING_WORDS = ("", "NA", "N/A", "n/a", "#N/A", "NaN", "nan", "-NaN", "-nan", "NULL", "null")
BLOCK = 1 << 21  # bytes that a thread parses at a time; with pyarrow's own half of that it takes a tenth longer
LOOK = 1 << 18  # bytes that are looked at for leading zeros at a time: what stays in a core's cache
LARGE_BLOCK = 1 << 26  # bytes; for rows that are longer than a megabyte, or have line breaks in a cell


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

    def codes(self, columns: Sequence[str]) -> dict[str, str]:
        """Those of some columns whose cells are digits with leading zeros, each with one of them."""
        import pyarrow.compute as pc

        if not columns or not self._may_have_codes():
            return {}
        table, found = self._parsed(columns, columns), {}
        for name in columns:
            words = pc.drop_null(table.column(name))
            coded = words.filter(pc.match_substring_regex(words, r"^\s*0[0-9]+\s*$"))
            if len(coded) and pc.all(pc.match_substring_regex(words, r"^\s*[0-9]+\s*$")).as_py():
                found[name] = str(coded[0])
        return found

    def _may_have_codes(self) -> bool:
        """Whether a zero and another digit begin a cell anywhere: by the bytes, a tenth of the work of parsing."""
        zero, last = ord("0"), b""
        with self._stream() as stream:
            while block := stream.read(LOOK):
                text = np.frombuffer(last + block, dtype=np.uint8)
                # Commas, quotes, blanks and line breaks are up to ",", and what can be in a number is behind it.
                begins = text[:-2] <= ord(",")
                begins |= text[:-2] == ord(self.delimiter)
                begins &= text[1:-1] == zero
                begins &= text[2:] - zero < 10  # unsigned: what comes before "0" is far above 9
                if begins.any():
                    return True
                last = (last + block)[-2:]
        return False

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
        if stat.S_ISREG(mode):
            with path.open("rb"):
                pass
    except FileNotFoundError:
        raise DataError(f"{label} does not exist") from None
    except (OSError, ValueError) as error:
        raise DataError(f"{label} cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if not stat.S_ISREG(mode):
        raise DataError(f"{label} is {'a folder, not a file' if stat.S_ISDIR(mode) else 'not a regular file'}")
