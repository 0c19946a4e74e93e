"""What segmentation_models_pytorch has; this imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import segmentation_models_pytorch as smp

from lossreg_bridges.candidates import SIZE, Candidate, called_with, candidate, name_of
from lossreg_bridges.trial_data import mask, numbers

DISTRIBUTION = "segmentation-models-pytorch"

_LOSSES = "segmentation_models_pytorch.losses"

#: Those that do not take class indices.
_ONE_HOT = frozenset({"SoftBCEWithLogitsLoss"})
_DEFAULTS: Mapping[str, Mapping[str, Any]] = {
    "SoftBCEWithLogitsLoss": {},
    "SoftCrossEntropyLoss": {"smooth_factor": 0.0},  # its own, None, fails
}
#: Class -> what it takes in place of output and target, each with a value that it is tried with.
_TAKES: Mapping[str, Mapping[str, Any]] = {
    "MCCLoss": {"probabilities": numbers(2, 1, 8, 8), "mask": mask(2, 1, 8, 8)},
}

#: Pictures that the encoder of `dpt` is made for, and that leave `pan` something to pool.
_SIZES = {"dpt": (3, 224, 224), "pan": (3, 128, 128)}


def candidates() -> Iterator[Candidate]:
    """Losses, then architectures, whose encoder is a parameter."""
    yield from (_loss(name) for name in smp.losses.__all__ if name.endswith("Loss"))
    yield from (_model(name, found) for name, found in sorted(smp.MODEL_ARCHITECTURES_MAPPING.items()))


def _loss(attribute: str) -> Candidate:
    found = getattr(smp.losses, attribute)
    target, name = f"{_LOSSES}:{attribute}", name_of(attribute, "loss")
    if attribute in _TAKES:
        return called_with(name, target, found, _TAKES[attribute])
    return candidate(
        "loss",
        name,
        target,
        found,
        defaults=_DEFAULTS.get(attribute, {"mode": "multiclass"}),
        input="logits",
        target="multilabel" if attribute in _ONE_HOT else "index",
    )


def _model(name: str, found: type) -> Candidate:
    return candidate(
        "model",
        name,
        f"segmentation_models_pytorch:{found.__name__}",
        found,
        defaults={"encoder_weights": None},
        supplied={"in_channels": "in_channels", "classes": "num_classes"},
        example={SIZE: _SIZES.get(name, (3, 64, 64))},
    )
