"""What MONAI has; this imports it."""

from __future__ import annotations

import inspect
from collections.abc import Iterator, Mapping
from typing import Any

import monai.losses
import monai.networks.nets
from torch import nn

from lossreg_bridges.candidates import Candidate, candidate, name_of

DISTRIBUTION = "monai"

_ONE_HOT = {"input": "logits", "target": "dense"}
_PICTURES = {"input": "any", "target": "dense"}

#: The contracts of those without a `softmax` of their own, and the parameters that make them what the contract says.
_CONTRACTS: Mapping[str, tuple[Mapping[str, str], Mapping[str, Any]]] = {
    "AsymmetricUnifiedFocalLoss": ({"input": "probabilities", "target": "dense"}, {}),
    "BarlowTwinsLoss": (_PICTURES, {}),
    "ContrastiveLoss": (_PICTURES, {}),
    "FocalLoss": (_ONE_HOT, {"use_softmax": True}),
    "GeneralizedWassersteinDiceLoss": ({"input": "logits", "target": "index"}, {}),
    "GlobalMutualInformationLoss": (_PICTURES, {}),
    "JukeboxLoss": (_PICTURES, {"spatial_dims": 2}),
    "LocalNormalizedCrossCorrelationLoss": (_PICTURES, {"spatial_dims": 2}),
    "NACLLoss": ({"input": "logits", "target": "index"}, {"dim": 2}),
    "SSIMLoss": (_PICTURES, {"spatial_dims": 2}),
}

_LEFT_OUT = {
    "AUCMLoss": "it is for masks of one class, for which there is no task",
    "BendingEnergyLoss": "it takes a field of displacements alone, and no target",
    "BoxGIoULoss": "it compares boxes, for which there is no task",
    "DeepSupervisionLoss": "it wraps another loss, for models with several outputs",
    "DiffusionLoss": "it takes a field of displacements alone, and no target",
    "MaskedLoss": "it wraps another loss, and takes a mask",
    "MultiScaleLoss": "it wraps another loss",
    "PatchAdversarialLoss": "it takes what a discriminator says of pictures, and no target",
    "PerceptualLoss": "it downloads the weights of a network",
    "SURELoss": "it takes an operator and a reference beside output and target",
}

_EXAMPLES: Mapping[str, Mapping[str, Any]] = {
    "GeneralizedWassersteinDiceLoss": {"dist_matrix": ((0.0, 1.0, 1.0), (1.0, 0.0, 1.0), (1.0, 1.0, 0.0))},
}

#: Sizes that a network's parameters may ask of the data, under each of the names that MONAI has for them.
_SIZES = {
    "in_channels": "in_channels",
    "n_input_channels": "in_channels",
    "out_channels": "num_classes",
    "num_classes": "num_classes",
    "n_classes": "num_classes",
}
_DEFAULTS = {"spatial_dims": 2, "pretrained": False}
_SIZED = {"img_size": (64, 64), "channels": (8, 16), "strides": (2,)}


def candidates() -> Iterator[Candidate]:
    """Losses, then networks."""
    yield from _losses()
    yield from _models()


def _classes(module: Any, base: type) -> dict[str, Any]:
    """Name -> class, each once: MONAI has several spellings of some."""
    found: dict[int, tuple[str, Any]] = {}
    for name, value in sorted(vars(module).items()):
        if inspect.isclass(value) and issubclass(value, base) and value.__module__.startswith(module.__name__):
            found.setdefault(id(value), (value.__name__ if hasattr(module, value.__name__) else name, value))
    return dict(sorted(found.values(), key=lambda pair: pair[0]))


def _losses() -> Iterator[Candidate]:
    for attribute, found in _classes(monai.losses, nn.Module).items():
        name, target = name_of(attribute, "loss"), f"monai.losses:{attribute}"
        parameters = inspect.signature(found).parameters
        if attribute in _CONTRACTS:
            contract, defaults = _CONTRACTS[attribute]
        elif "softmax" in parameters and attribute not in _LEFT_OUT:
            contract, defaults = _ONE_HOT, {"softmax": True}
        else:
            problem = _LEFT_OUT.get(attribute, "what it compares is not known here")
            yield Candidate("loss", name, target, {}, problem)
            continue
        yield candidate(
            "loss",
            name,
            target,
            found,
            defaults=defaults,
            supplied={"classes": "num_classes", "num_classes": "num_classes"},
            hidden=("other_act", "to_onehot_y", "sigmoid"),
            example=_EXAMPLES.get(attribute),
            **contract,
        )


def _models() -> Iterator[Candidate]:
    for attribute, found in _classes(monai.networks.nets, nn.Module).items():
        parameters = inspect.signature(found).parameters
        example = {name: value for name, value in _SIZED.items() if name in parameters}
        yield candidate(
            "model",
            name_of(attribute, "model"),
            f"monai.networks.nets:{attribute}",
            found,
            defaults={name: value for name, value in _DEFAULTS.items() if name in parameters},
            supplied=_SIZES,
            example={name: value for name, value in example.items() if parameters[name].default is inspect.Parameter.empty},
        )
