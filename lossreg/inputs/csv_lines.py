"""What is wrong with a CSV file, and in which line, as an editor counts: slower than what reads it, so only then."""

from __future__ import annotations

import csv
import io
from collections.abc import Collection, Iterator
from pathlib import Path

from lossreg.errors import DataError
from lossreg.values import shown

DELIMITERS = (",", ";", "\t", "|")
HEAD = 1 << 16  # bytes in which the line of names is looked for first
LONGEST = 1 << 24  # bytes of a line of names
MAX_CELL = 1 << 24  # characters


def read_names(source: Path | bytes, expected: Collection[str]) -> tuple[list[str], str, int]:
    """The line of names.

    Args:
        source: The file, or what it holds.
        expected: Columns that it should have, by which it shows what stands between two cells.

    Returns:
        The names, the delimiter, and how many lines the file has until the first row.

    Raises:
        DataError: If there are no names, or two are the same.
    """
    head, is_whole = _head(source, HEAD)
    if not is_whole and head.lstrip(b"\xef\xbb\xbf\r\n").count(b"\n") < 1:  # a long line of names
        head, is_whole = _head(source, LONGEST)
    if not head:
        raise DataError("it is empty; a table has a line of names, and a line for each row")
    try:
        text = head.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        cut_off = not is_whole and error.start > len(head) - 4  # in the middle of a character
        if not cut_off:
            raise DataError(_not_utf8(head, error)) from error
        text = head[: error.start].decode("utf-8-sig")
    found = [(*_first_row(text, delimiter), delimiter) for delimiter in DELIMITERS]
    names, lines, delimiter = max(found, key=lambda one: (len(set(one[0]) & set(expected)), len(one[0])))
    if not names:
        raise DataError("it holds only blank lines; a table has a line of names, and a line for each row")
    for place, name in enumerate(names, start=1):
        if not name.strip():
            pandas = "; pandas leaves its index out with to_csv(..., index=False)" if place == 1 else ""
            raise DataError(f"line {lines}: column {place} has no name{pandas}")
        if name in names[: place - 1]:
            raise DataError(f"line {lines}: columns {names.index(name) + 1} and {place} are both named {shown(name)}")
    return names, delimiter, lines


def _head(source: Path | bytes, most: int) -> tuple[bytes, bool]:
    """The first bytes, and whether these are all."""
    if isinstance(source, bytes):
        return source[:most], len(source) <= most
    with source.open("rb") as stream:
        head = stream.read(most + 1)
    return head[:most], len(head) <= most


def _first_row(text: str, delimiter: str) -> tuple[list[str], int]:
    """The first row that is not blank, and the number of its last line."""
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter)
    try:
        return next((row for row in reader if row), []), reader.line_num
    except csv.Error:
        return [], 0


def looks_like_cells(names: Collection[str]) -> bool:
    """Whether a first line holds numbers, as a row does."""
    return any(_is_number(name) for name in names)


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def rows(source: Path | bytes, delimiter: str, lines: int) -> Iterator[tuple[int, list[str]]]:
    """The rows below the line of names, each with the line that it begins in.

    Raises:
        DataError: If a line is no text, or a quote is not closed.
    """
    data = source if isinstance(source, bytes) else source.read_bytes()
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise DataError(_not_utf8(data, error)) from error
    csv.field_size_limit(MAX_CELL)
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True)
    line = 1
    try:
        for row in reader:
            if row and line > lines:
                yield line, row
            line = reader.line_num + 1
    except csv.Error as error:
        raise DataError(f"line {line}: {error}; is a quote not closed?") from error


def _not_utf8(data: bytes, error: UnicodeDecodeError) -> str:
    before = data[: error.start]
    line = before.replace(b"\r\n", b"\n").replace(b"\r", b"\n").count(b"\n") + 1
    return f"line {line}: byte 0x{data[error.start]:02x} is not UTF-8; save the table as text in UTF-8"


def fault(source: Path | bytes, delimiter: str, lines: int, names: Collection[str]) -> str | None:
    """The first line that cannot be read, and why; None if there is none."""
    try:
        for line, row in rows(source, delimiter, lines):
            if len(row) != len(names):
                return f"line {line} has {len(row)} cells, and the line of names {len(names)}"
    except DataError as error:
        return error.message
    return None
