"""A sample of what the indexes say, tried on the packages themselves; `python -m lossreg_bridges index NAME` tries all.

Of the packages that are imported fast, where the version of the index is installed.
"""

from __future__ import annotations

import importlib.metadata

import pytest

from lossreg_bridges.__main__ import bridge_named
from lossreg_bridges.bridge import index_of
from lossreg_bridges.making import candidates_of, tried

SAMPLE = {
    "kornia": [("loss", "charbonnier"), ("loss", "focal"), ("loss", "tversky")],
    "pytorch_optimizer": [("optimizer", "lion"), ("optimizer", "sam"), ("scheduler", "rex"), ("loss", "jaccard")],
}


@pytest.mark.parametrize("name", SAMPLE)
def test_a_component_is_as_the_index_says(name: str) -> None:
    """What the package offers today, tried again, has the fields that the index has."""
    bridge = bridge_named(name)
    index = index_of(bridge, None)
    try:
        installed = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if installed != index.version:
        pytest.skip(f"{name} {installed} is installed, and the index is of {index.version}")
    found = {(one.kind, one.name): one for one in candidates_of(bridge)}
    for kind, component in SAMPLE[name]:
        fields, problem = tried(found[kind, component], None)
        assert problem is None
        assert fields == index.rows(kind)[component]
