"""Comparisons whose processes need not import torch."""

from __future__ import annotations

import multiprocessing
import multiprocessing.spawn
from collections.abc import Iterator

import pytest


@pytest.fixture(scope="module", autouse=True)
def _warm_workers(warm_python: str) -> Iterator[None]:
    """The server of worker processes, which a first comparison starts, is a fork of the tests' own server."""
    executable = multiprocessing.spawn.get_executable()
    multiprocessing.set_executable(warm_python)
    yield
    multiprocessing.set_executable(executable)
