"""A bridge: what a plugin module declares to offer the components of another package."""

from __future__ import annotations

import functools
from pathlib import Path

import attrs

import lossreg as lr
from lossreg_bridges.index import Fields, Index, read_index

#: Kind -> the class of its records.
TYPES = {
    "loss": lr.Loss,
    "optimizer": lr.Optimizer,
    "scheduler": lr.Scheduler,
    "metric": lr.Metric,
    "model": lr.Model,
}


@attrs.frozen
class Bridge:
    """A package whose components lossreg offers, from an index.

    Attributes:
        name: The namespace, and the entry point.
        package: What is imported.
        folder: The folder of the plugin, which has the index of the version that lossreg was released with.
    """

    name: str
    package: str
    folder: Path

    @property
    def snapshot(self) -> Path:
        """The index that comes with lossreg."""
        return self.folder / "index.json"

    def table(self, kind: str) -> lr.ComponentTable:
        """The components of a kind."""
        return lr.ComponentTable(TYPES[kind], functools.partial(self._rows, kind))

    def _rows(self, kind: str, version: str | None) -> dict[str, Fields]:
        return index_of(self, version).rows(kind)


@functools.cache
def index_of(bridge: Bridge, version: str | None) -> Index:
    """The index of a version.

    Args:
        bridge: The bridge.
        version: The installed version; None, where none is installed, gives the one that comes with lossreg.
    """
    snapshot = read_index(bridge.snapshot, bridge.package)
    if version is None or version == snapshot.version:
        return snapshot
    from lossreg_bridges.cache import index_of_other_version  # most starts do without

    return index_of_other_version(bridge, version, snapshot)
