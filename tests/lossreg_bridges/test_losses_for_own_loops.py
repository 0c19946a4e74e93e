"""Losses of other packages that take anything but output and target: listed with what they take."""

from __future__ import annotations

import importlib.metadata
from typing import Any

import pytest
import torch

from lossreg.component_table import Row
from lossreg.components import FED
from lossreg.errors import LossregError
from lossreg_bridges.__main__ import bridge_named
from lossreg_bridges.bridge import TYPES, index_of
from lossreg_bridges.candidates import called_with
from lossreg_bridges.making import as_json, candidates_of, tried
from lossreg_bridges.trial_data import mask, numbers
from lossreg_bridges.trials import try_record
from tests.table import for_each

TAKES = {
    "kornia": {
        "hausdorff_er": ["probabilities", "labels"],
        "hausdorff_er_loss_3d": ["probabilities", "labels"],
        "inverse_depth_smoothness": ["inverse_depth", "picture"],
        "lovasz_hinge": ["logits", "mask"],
    },
    "monai": {
        "aucm": ["logits", "mask"],
        "bending_energy": ["displacements"],
        "box_g_io_u": ["boxes", "target_boxes"],
        "diffusion": ["displacements"],
        "patch_adversarial": ["scores", "target_is_real", "for_discriminator"],
    },
    "pytorch_optimizer": {"binary_bi_tempered_logistic": ["logits", "mask"]},
    "smp": {"mcc": ["probabilities", "mask"]},
}


class Smooth(torch.nn.Module):
    """How rough a field is."""

    def __init__(self, factor: float = 1.0) -> None:
        super().__init__()
        self.factor = factor

    def forward(self, field: torch.Tensor) -> Any:
        """The mean square of differences, or what has no gradient."""
        return self.factor * field.diff().square().mean() if self.factor else (field * 0).sum()


@for_each("name", TAKES)
def test_they_are_listed_with_what_they_take(name: str) -> None:
    """No target of a data set is one of the things, and a run cannot feed them."""
    rows = index_of(bridge_named(name), None).rows("loss")
    found = {loss: fields["takes"] for loss, fields in rows.items() if tuple(fields.get("takes", FED)) != FED}
    assert found == TAKES[name]
    for loss in found:
        record = Row(loss, TYPES["loss"], rows[loss]).make()
        assert not record.is_fed  # type: ignore[attr-defined]  # of a Loss
        assert record.contract()["target"] is None


def test_they_are_tried_with_what_they_take() -> None:
    """A finite value with a gradient; one without a gradient is left out."""
    one = called_with("smooth", f"{__name__}:Smooth", Smooth, {"field": numbers(2, 2, 8)})
    record = Row("smooth", TYPES["loss"], as_json({"factory": one.factory, **one.fields})).make()
    assert record.contract()["takes"] == ("field",)
    assert try_record(record, one.example) == {"averages": None}
    with pytest.raises(LossregError, match="its gradient is 0"):
        try_record(record, {**one.example, "factor": 0.0})
    assert mask(2, 2).tolist() == [[0, 1], [0, 1]]


@pytest.mark.parametrize("name", ["kornia"])
def test_the_packages_give_what_the_indexes_say(name: str) -> None:
    """Of a package that is imported fast, where the version of the index is installed."""
    bridge = bridge_named(name)
    index = index_of(bridge, None)
    try:
        installed = importlib.metadata.version(name)
    except importlib.metadata.PackageNotFoundError:
        pytest.skip(f"{name} is not installed")
    if installed != index.version:
        pytest.skip(f"{name} {installed} is installed, and the index is of {index.version}")
    found = {one.name: one for one in candidates_of(bridge) if one.kind == "loss"}
    for loss in TAKES[name]:
        assert tried(found[loss], None) == (index.rows("loss")[loss], None)
