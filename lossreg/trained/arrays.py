"""Arrays of numbers from files of unknown origin: nothing in them is run, and none claims more memory than it has."""

from __future__ import annotations

import io
import math
import zipfile
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

import numpy as np

from lossreg.errors import DataError, LossregError
from lossreg.suggestions import did_you_mean
from lossreg.training.record.files import read_regular_file
from lossreg.values import decimal_comma_hint, one_line, shown

SHOWN = 12  # arrays in a message
MAX_BYTES = 4 << 30  # of a file of inputs, and of what is packed in one
_HEADERS = {(1, 0): "read_array_header_1_0", (2, 0): "read_array_header_2_0"}


def read_bytes(file: Path) -> bytes:
    """The content of a file.

    Raises:
        DataError: If it cannot be read, or is not a regular file.
    """
    try:
        data = read_regular_file(file, MAX_BYTES)
    except FileNotFoundError:
        raise DataError("it does not exist") from None
    except (OSError, ValueError) as error:
        raise DataError(f"it cannot be read: {getattr(error, 'strerror', None) or error}") from error
    if len(data) > MAX_BYTES:
        raise DataError(f"it is longer than {MAX_BYTES:,} bytes")
    return data


def read_npy(data: bytes) -> np.ndarray[Any, Any]:
    """An array as numpy saves it.

    Raises:
        DataError: If it is damaged, or holds Python objects.
    """
    stream = io.BytesIO(data)
    try:
        version = np.lib.format.read_magic(stream)
        shape, in_columns, dtype = getattr(np.lib.format, _HEADERS[version])(stream)
    except Exception as error:  # whatever a damaged header makes of numpy's reader
        raise DataError("it is not an array as numpy.save writes it") from error
    if dtype.hasobject or dtype.names is not None:
        raise DataError(f"it holds {'Python objects' if dtype.hasobject else 'named fields'}, not numbers")
    body = memoryview(data)[stream.tell() :]
    # numpy would take the memory first, and see then that the file is shorter.
    if any(size < 0 for size in shape) or math.prod(shape) * dtype.itemsize != len(body):
        raise DataError(f"its header says {shape} of {dtype}, but {len(body):,} bytes follow")
    return np.frombuffer(body, dtype).reshape(shape, order="F" if in_columns else "C")


def read_npz(data: bytes, only: str | None = None) -> Iterator[tuple[str, np.ndarray[Any, Any]]]:
    """The arrays of an archive as numpy saves them, with their names.

    Args:
        data: The archive.
        only: The name of the one that is wanted; None is all.

    Raises:
        DataError: If it is damaged, holds more than `MAX_BYTES`, or has no array of this name.
    """
    try:
        with zipfile.ZipFile(io.BytesIO(data)) as archive:
            members = archive.infolist()
            if only is not None:
                names = [member.filename.removesuffix(".npy") for member in members]
                members = [member for name, member in zip(names, members, strict=True) if name == only]
                check_array(only, names)
            if sum(member.file_size for member in members) > MAX_BYTES:
                raise DataError(f"unpacked, it is longer than {MAX_BYTES:,} bytes")
            for member in members:
                with archive.open(member) as stream:
                    content = stream.read(member.file_size)
                yield member.filename.removesuffix(".npy"), read_npy(content)
    except LossregError:
        raise
    except Exception as error:  # whatever a damaged archive makes of Python's reader
        raise DataError(f"it is not an archive as numpy.savez writes it: {one_line(str(error))}") from error


def check_array(name: str, names: Collection[str]) -> None:
    """Checks that a file holds the array that is wanted.

    Raises:
        DataError: If it does not.
    """
    if name not in names:
        listed = one_line(", ".join([*names][:SHOWN])) + (", ..." if len(names) > SHOWN else "")
        raise DataError(f"it has no array {shown(name)}.{did_you_mean(name, names)} Arrays: {listed or 'none'}")


def read_csv(data: bytes) -> np.ndarray[Any, Any]:
    """The numbers of a CSV file, `(rows, columns)`, float64; a first line of names is left out.

    Raises:
        DataError: If a cell is not a number, or the lines are not equally long.
    """
    import csv

    try:
        lines = [line for line in csv.reader(io.StringIO(data.decode("utf-8-sig"), newline=""), strict=True) if line]
    except (UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"it is not CSV: {error}") from error
    other = next((one for one in (";", "\t") if lines and any(one in cell for cell in lines[-1])), None)
    if other is not None:
        what = "semicolons" if other == ";" else "tabs"
        raise DataError(f"it has {what} between its cells; a table has commas between them, and points in numbers")
    names = bool(lines) and not any(_is_number(cell) for cell in lines[0])
    rows = lines[1:] if names else lines
    if not rows:
        raise DataError("it has no line of numbers")
    values = np.empty((len(rows), len(rows[0])))
    for index, row in enumerate(rows):
        line = index + 1 + names
        if len(row) != len(rows[0]):
            raise DataError(f"row {line} has {len(row)} cells, and the first of numbers {len(rows[0])}")
        for column, cell in enumerate(row):
            if not _is_number(cell):
                hint = decimal_comma_hint(cell)
                raise DataError(f"row {line}, column {column + 1}: {shown(cell)} is not a number{hint}")
            values[index, column] = float(cell)
    return values


def _is_number(cell: str) -> bool:
    try:
        float(cell)
    except ValueError:
        return False
    return "_" not in cell  # which Python takes between digits
