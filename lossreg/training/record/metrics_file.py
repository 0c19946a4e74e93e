"""metrics.jsonl: a line for each row, none of them lost where the disk is full for a while."""

from __future__ import annotations

import contextlib
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

from lossreg.checkpoints.reading import open_regular_file, why_unreadable
from lossreg.errors import ConfigError
from lossreg.training.record.directory import why_not_written
from lossreg.training.record.files import json_object
from lossreg.values import finite

logger = logging.getLogger("lossreg")

METRICS = "metrics.jsonl"


class MetricsFile:
    """The file of a run under way.

    A row that cannot be written waits for the next one, with a warning; only at the end of the run is it an error.

    Args:
        directory: The run directory.
        length: How many bytes of the file are kept, of a run that goes on; what follows was trained again. A row that
            was torn apart when its process died is part of that.

    Raises:
        OSError: If it cannot be opened.
    """

    def __init__(self, directory: Path, length: int = 0) -> None:
        self._path = directory / METRICS
        self._file: BinaryIO = self._path.open("r+b" if length else "wb", buffering=0)
        self._length = length
        self._waiting: list[bytes] = []
        if length:
            self._file.truncate(length)
            self._file.seek(length)

    def append(self, row: Mapping[str, Any]) -> None:
        """Appends a row, after those that wait."""
        self._waiting.append((json.dumps(finite(row), allow_nan=False) + "\n").encode())
        had_failed = len(self._waiting) > 1
        try:
            self._write()
        except OSError as error:
            if not had_failed:
                logger.warning(
                    "%s cannot be written to: %s; the run goes on, and rows wait until they can be written",
                    self._path,
                    why_not_written(error),
                )

    def _write(self) -> None:
        data = b"".join(self._waiting)
        try:
            written = 0
            while written < len(data):
                written += self._file.write(data[written:])
        except OSError:
            with contextlib.suppress(OSError):  # no half of a line is left
                self._file.truncate(self._length)
                self._file.seek(self._length)
            raise
        self._length += len(data)
        self._waiting.clear()

    def synchronise(self) -> int:
        """Writes what waits, and puts the file on the disk.

        Returns:
            Its length in bytes.

        Raises:
            OSError: If it cannot be written to.
        """
        self._write()
        os.fsync(self._file.fileno())
        return self._length

    def close(self) -> None:
        """Writes what waits.

        Raises:
            OSError: If it cannot be written to.
        """
        try:
            self._write()
        finally:
            with contextlib.suppress(OSError):
                self._file.close()


def read_rows(directory: Path, length: int) -> list[dict[str, Any]]:
    """The rows of epochs in the first bytes of a metrics.jsonl, for a run that goes on.

    Args:
        directory: The run directory.
        length: How many bytes.

    Raises:
        ConfigError: If the file is shorter, or damaged there.
    """
    path = directory / METRICS
    try:
        descriptor = open_regular_file(path)
        with open(descriptor, "rb") as file:  # noqa: PTH123  # a descriptor
            is_short = os.fstat(descriptor).st_size < length
            data = b"" if is_short else file.read(length)
        rows = [json_object(line) for line in data.splitlines()]
    except (OSError, ValueError) as error:
        raise ConfigError(f"the run cannot go on: {path} cannot be read: {why_unreadable(error)}") from error
    if is_short or (data and not data.endswith(b"\n")):
        raise ConfigError(
            f"the run cannot go on: {path} has been shortened or changed since the checkpoint was written, when it had "
            f"{length:,} bytes"
        )
    return [row for row in rows if row.get("kind") == "epoch"]
