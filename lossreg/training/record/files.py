"""Files that others wrote, read without waiting or filling the memory, and JSON that may hold anything."""

from __future__ import annotations

import json
import os
import stat
from pathlib import Path
from typing import Any

_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_NONBLOCK", 0)  # a pipe without a writer would be waited for
    | getattr(os, "O_CLOEXEC", 0)
    | getattr(os, "O_BINARY", 0)
)
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
    if not isinstance(value, dict):
        raise ValueError("it holds no keys and values")
    return value
