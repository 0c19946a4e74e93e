"""The transforms of torchvision.transforms.v2 by name, and which of them `augment` does not take."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from torchvision.transforms.v2 import Transform

_ONE_PICTURE = "it does not make one picture of one"
_CHANGES_TYPE = "it changes the type of the numbers, which the data set does itself"
_NO_BOXES = "it is for boxes or points, which no data set here has"
_NEEDS_OBJECTS = "a text cannot say what it takes"

#: What v2 has and a text does not reach: the name -> why.
REFUSED: Mapping[str, str] = {
    "clamp_bounding_boxes": _NO_BOXES,
    "clamp_key_points": _NO_BOXES,
    "compose": "a list of texts is one",
    "convert_bounding_box_format": _NO_BOXES,
    "convert_image_dtype": _CHANGES_TYPE,
    "cut_mix": "it mixes the samples of a batch, and their targets",
    "five_crop": _ONE_PICTURE,
    "jpeg": "torchvision is giving up its coder of JPEG",
    "lambda": _NEEDS_OBJECTS,
    "linear_transformation": _NEEDS_OBJECTS,
    "mix_up": "it mixes the samples of a batch, and their targets",
    "normalize": "the test split needs it, too: write normalize=True or normalize=[mean, std] beside augment",
    "pil_to_tensor": _CHANGES_TYPE,
    "random_io_u_crop": _NO_BOXES,
    "sanitize_bounding_boxes": _NO_BOXES,
    "sanitize_key_points": _NO_BOXES,
    "set_clamping_mode": _NO_BOXES,
    "ten_crop": _ONE_PICTURE,
    "to_dtype": _CHANGES_TYPE,
    "to_image": _CHANGES_TYPE,
    "to_pil_image": _CHANGES_TYPE,
    "to_pure_tensor": _CHANGES_TYPE,
    "to_tensor": _CHANGES_TYPE,
    "transform": "it is the class that all are made of",
    "uniform_temporal_subsample": "it is for videos",
}


def transforms_by_name() -> dict[str, type[Transform]]:
    """Name -> class, of all transforms that the installed torchvision has."""
    from torchvision.transforms import v2

    classes = (getattr(v2, name) for name in sorted(vars(v2)))
    return {
        _snake_case(each.__name__): each
        for each in classes
        if isinstance(each, type) and issubclass(each, torch.nn.Module) and each.__module__.startswith(v2.__name__)
    }


def _snake_case(name: str) -> str:
    """`JPEG` as `jpeg`, `RandomResizedCrop` as `random_resized_crop`."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])", "_", name).lower()
