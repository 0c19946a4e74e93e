"""Hashes of files, by which a repeat of a run knows whether they have changed."""

from __future__ import annotations

import contextlib
import hashlib
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

AT_ONCE = 1 << 24  # bytes: each time that Python's lock is asked for, it may be waited for


def sha256_of(path: Path) -> str:
    """The SHA-256 of what a file holds, as hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb", buffering=0) as stream:
        while part := stream.read(AT_ONCE):
            digest.update(part)
    return digest.hexdigest()


@contextlib.contextmanager
def hashing(path: Path) -> Iterator[Callable[[], str]]:
    """Hashes a file in a thread while it is read here; gives what waits for the hash."""
    with ThreadPoolExecutor(1) as pool:
        yield pool.submit(sha256_of, path).result
