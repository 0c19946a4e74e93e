"""The number by which others see that names may lead elsewhere than before."""

from __future__ import annotations

from collections.abc import Callable

from torch import nn

import lossreg
from lossreg.plugins.provenance import Provenance


def test_whatever_changes_a_name_changes_the_number() -> None:
    """A component that comes, one that takes another's place, one that goes, a table, and its being read; no lookup."""
    own = lossreg.load_registries(allow=[], bridges=False)
    rows = {"sewn": {"factory": "torch.nn:L1Loss", "summary": "Of a table", "target": "dense"}}
    table = lossreg.ComponentTable(lossreg.Loss, lambda _: rows)
    steps: dict[str, Callable[[], object]] = {
        "a component": lambda: own.losses.register("mine", target="dense")(nn.L1Loss),
        "the same again": lambda: own.losses.register("mine", target="dense")(nn.L1Loss),
        "of another kind": lambda: own.models.register("mine", "torch.nn:Identity", summary="Nothing"),
        "one goes": lambda: own.losses._remove("local.mine"),
        "a table": lambda: own.losses.add_table(table, Provenance("somewhere")),
        "it is read": lambda: own.losses["sewn"],
    }
    seen = [own.changes]
    for step in steps.values():
        step()
        seen.append(own.changes)
    assert len(set(seen)) == len(steps) + 1
    for _ in range(2):
        assert own.losses["sewn"].id == "somewhere.sewn"
        own.losses.names()
    assert own.changes == seen[-1]
