"""Comparisons whose processes need not import torch."""

from __future__ import annotations

import pytest


@pytest.fixture(scope="module", autouse=True)
def _warm_workers(warm_workers: None) -> None:
    """The server of worker processes, which a first comparison starts, is a fork of the tests' own server."""
