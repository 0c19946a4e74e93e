"""Work on several cores, for what leaves Python's lock alone for long: hashes and decoders of pictures."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from lossreg.machine import available_cores

MOST = 8

T = TypeVar("T")
R = TypeVar("R")


def in_threads(work: Callable[[T], R], each: Iterable[T]) -> list[R]:
    """What a function gives for each item, in their order; the first error that it raises is raised."""
    with ThreadPoolExecutor(min(MOST, available_cores())) as pool:
        return list(pool.map(work, each))
