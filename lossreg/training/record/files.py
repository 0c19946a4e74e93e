"""Files that others wrote, read without waiting or filling the memory, and values of JSON that may hold anything.

Text becomes one printable line, and a number that is not finite, or too great to compute with, is None.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from lossreg.values import one_line

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would be waited for
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
MAX_RECORD = 10_000_000  # bytes of a run.json
MAX_DEPTH = 8  # tables and lists within each other; run.json has four
MAX_NUMBER = 1e300  # beyond it, what is computed with a number overflows
_AT_ONCE = 1 << 16  # bytes; more than most files here have


def read_regular_file(file: str | Path, most: int) -> bytes:
    """The bytes of a file, or of one that is too long one more than `most`.

    Args:
        file: A file; a pipe or a device is none, and is not waited for.
        most: Bytes.

    Raises:
        OSError: If it cannot be read.
        ValueError: If it is no regular file, or its name has a null byte.
    """
    descriptor = os.open(file, _FLAGS)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ValueError("it is not a regular file")
        data = os.read(descriptor, min(max(status.st_size, _AT_ONCE), most) + 1)
        if len(data) < status.st_size and len(data) <= most:
            parts = [data]  # the system gives less than was asked for, or the file grows
            while len(data) <= most and (part := os.read(descriptor, most + 1 - sum(map(len, parts)))):
                parts.append(part)
                data = b"".join(parts)
        return data
    finally:
        os.close(descriptor)


def json_object(data: bytes) -> dict[str, Any]:
    """The object that a JSON text holds.

    Raises:
        ValueError: If it is not JSON, is nested too deep, or holds something else.
    """
    try:
        value = json.loads(data)
    except UnicodeDecodeError as error:
        raise ValueError("it is not text") from error
    except RecursionError as error:
        raise ValueError("it is nested too deep") from error
    except MemoryError as error:
        raise ValueError("it needs more memory than there is") from error
    if not isinstance(value, dict):
        raise ValueError("it holds no keys and values")
    return value


class Converted(Mapping[str, Any]):
    """A table whose names and values are converted when they are asked for: a list of runs asks for few."""

    def __init__(self, table: Mapping[str, Any], convert: Callable[[Any], Any]) -> None:
        self._table, self._convert = table, convert

    def __getitem__(self, name: str) -> Any:
        if name in self._table and name.isprintable():
            return self._convert(self._table[name])
        return self._convert(self._table[next((raw for raw in self._table if one_line(raw) == name), name)])

    def __iter__(self) -> Iterator[str]:
        return map(one_line, self._table)

    def __len__(self) -> int:
        return len(self._table)

    def __repr__(self) -> str:
        return repr(dict(self))


def to_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """The numbers and texts of a row; what is neither is None."""
    return {one_line(name): to_cell(value) for name, value in row.items()}


def to_cell(value: Any) -> Any:
    """A text on one line, a number, or None."""
    return one_line(value) if type(value) is str else to_number(value)


def to_number(value: Any) -> Any:
    """A finite number, or None."""
    if type(value) not in (int, float) or not -MAX_NUMBER < value < MAX_NUMBER:  # NaN is in no range
        return None
    return value


def to_count(value: Any) -> int | None:
    """A whole number that counts something, or None."""
    return value if type(value) is int and 0 <= value < 1 << 63 else None


def to_text(value: Any) -> str | None:
    """A text on one line, or None."""
    return one_line(value) if isinstance(value, str) else None


def to_texts(table: Mapping[str, Any]) -> dict[str, str]:
    """The texts of a table, each on one line; what is none is left out."""
    return {one_line(name): one_line(value) for name, value in table.items() if isinstance(value, str)}


def to_time(value: Any) -> datetime | None:
    """A time with its offset from UTC, by default the local one, or None."""
    try:
        time = datetime.fromisoformat(value)
        return time if time.tzinfo else time.astimezone()
    except (TypeError, ValueError, OverflowError, OSError):  # the last two for years that no clock has
        return None


def cleaned(table: Mapping[str, Any]) -> dict[str, Any]:
    """A table as it can be shown: what is too deep in it is empty."""
    return {one_line(name): _clean(value, 1) for name, value in table.items()}


def _clean(value: Any, depth: int) -> Any:
    """A value of JSON with printable text, and nothing too deep or too great to be shown."""
    if isinstance(value, str):
        return one_line(value)
    if type(value) in (int, float):
        return to_number(value)
    if isinstance(value, dict):
        return {one_line(key): _clean(one, depth + 1) for key, one in value.items()} if depth < MAX_DEPTH else {}
    if isinstance(value, list):
        return [_clean(one, depth + 1) for one in value] if depth < MAX_DEPTH else []
    return value
