"""What kornia has; this imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import kornia.losses

from lossreg_bridges.candidates import Candidate, called_with, candidate, name_of
from lossreg_bridges.trial_data import mask, numbers

DISTRIBUTION = "kornia"

_CLASSES = ("logits", "index")
_PICTURES = ("any", "dense")

#: Class -> its contract, and parameters that kornia has no default for, or `none` where a number is needed.
_LOSSES: Mapping[str, tuple[tuple[str, str], Mapping[str, Any]]] = {
    "BinaryFocalLossWithLogits": (("logits", "multilabel"), {"alpha": 0.25, "reduction": "mean"}),
    "CauchyLoss": (_PICTURES, {"reduction": "mean"}),
    "CharbonnierLoss": (_PICTURES, {"reduction": "mean"}),
    "DiceLoss": (_CLASSES, {}),
    "FocalLoss": (_CLASSES, {"alpha": None, "reduction": "mean"}),
    "GemanMcclureLoss": (_PICTURES, {"reduction": "mean"}),
    "LovaszSoftmaxLoss": (_CLASSES, {}),
    "MS_SSIMLoss": (_PICTURES, {}),
    "PSNRLoss": (_PICTURES, {"max_val": 1.0}),
    "SSIM3DLoss": (_PICTURES, {"window_size": 11}),
    "SSIMLoss": (_PICTURES, {"window_size": 11}),
    "TverskyLoss": (_CLASSES, {"alpha": 0.5, "beta": 0.5}),
    "WelschLoss": (_PICTURES, {"reduction": "mean"}),
}

_REFERENCE = "it is built with the picture that it compares with"
_LEFT_OUT = {
    "MILossFromRef": _REFERENCE,
    "MILossFromRef2D": _REFERENCE,
    "MILossFromRef3D": _REFERENCE,
    "NMILossFromRef": _REFERENCE,
    "NMILossFromRef2D": _REFERENCE,
    "NMILossFromRef3D": _REFERENCE,
    "TotalVariation": "it takes a picture alone, and gives a number for each channel",
}
#: Class -> what it takes in place of output and target, each with a value that it is tried with.
_TAKES: Mapping[str, Mapping[str, Any]] = {
    "HausdorffERLoss": {"probabilities": numbers(2, 3, 8, 8), "labels": mask(2, 1, 8, 8).long()},
    "HausdorffERLoss3D": {"probabilities": numbers(2, 3, 8, 8, 8), "labels": mask(2, 1, 8, 8, 8).long()},
    "InverseDepthSmoothnessLoss": {"inverse_depth": numbers(2, 1, 8, 8), "picture": numbers(2, 3, 8, 8)},
    "LovaszHingeLoss": {"logits": numbers(2, 1, 8, 8), "mask": mask(2, 8, 8)},
}


def candidates() -> Iterator[Candidate]:
    """Those that are classes; the functions beside them are the same."""
    for attribute in sorted(kornia.losses.__all__):
        found = getattr(kornia.losses, attribute)
        if not isinstance(found, type) or attribute == "MIKernel":
            continue
        name, target = name_of(attribute, "loss"), f"kornia.losses:{attribute}"
        if attribute in _LOSSES:
            (given, compared), defaults = _LOSSES[attribute]
            yield candidate("loss", name, target, found, defaults=defaults, input=given, target=compared)
        elif attribute in _TAKES:
            yield called_with(name, target, found, _TAKES[attribute])
        else:
            yield Candidate("loss", name, target, {}, _LEFT_OUT.get(attribute, "what it compares is not known here"))
