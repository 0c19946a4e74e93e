"""Downloads by torchvision, so that they end, and archives write nowhere but into their folder."""

from __future__ import annotations

import contextlib
import socket
import tarfile
from collections.abc import Iterator

from lossreg.errors import DataError

PATIENCE = 30.0  # seconds without an answer; torchvision would wait forever


@contextlib.contextmanager
def patient() -> Iterator[None]:
    """Has downloads give up when nothing comes for a while."""
    patience = socket.getdefaulttimeout()
    socket.setdefaulttimeout(patience or PATIENCE)
    try:
        yield
    finally:
        socket.setdefaulttimeout(patience)


@contextlib.contextmanager
def safe_archives() -> Iterator[None]:
    """Has tar archives unpacked without members and links that lead out of the folder, and without special files.

    Python's own reader of zip archives never writes elsewhere.

    Raises:
        DataError: If this Python is too old for that.
    """
    safe = getattr(tarfile, "data_filter", None)
    if safe is None:
        raise DataError("archives are unpacked by Python 3.11.4 or later alone, which keeps them in their folder")
    before = tarfile.TarFile.extraction_filter
    tarfile.TarFile.extraction_filter = staticmethod(safe)  # what extractall() goes by where it is told nothing
    try:
        yield
    finally:
        tarfile.TarFile.extraction_filter = before
