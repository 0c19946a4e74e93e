"""What MONAI has; this imports it."""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from typing import Any

import monai.losses
import monai.networks.nets
import torch
from monai.optimizers.lr_scheduler import WarmupCosineSchedule
from monai.optimizers.novograd import Novograd
from torch import nn

from lossreg_bridges.candidates import SIZE, Candidate, called_with, candidate, first_sentence, name_of
from lossreg_bridges.trial_data import mask, numbers

DISTRIBUTION = "monai"

_ONE_HOT: Mapping[str, Any] = {"input": "logits", "target": "probabilities"}
_PICTURES: Mapping[str, Any] = {"input": "any", "target": "dense"}

_BOXES = torch.tensor([[0.0, 0.0, 2.0, 3.0], [1.0, 1.0, 4.0, 4.0]])  # the corners of each

#: The contracts of those without a `softmax` of their own, and the parameters that make them what the contract says.
_CONTRACTS: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "AsymmetricUnifiedFocalLoss": ({"input": "probabilities", "target": "probabilities"}, {}),
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
    "DeepSupervisionLoss": "it wraps another loss, for models with several outputs",
    "MaskedLoss": "it wraps another loss, and takes a mask",
    "MultiScaleLoss": "it wraps another loss",
    "PerceptualLoss": "it downloads the weights of a network",
    "SURELoss": "it takes an operator and a reference beside output and target",
}

#: Class -> what it takes in place of output and target, each with a value that it is tried with.
_TAKES: Mapping[str, Mapping[str, Any]] = {
    "AUCMLoss": {"logits": numbers(2, 1, 8, 8), "mask": mask(2, 1, 8, 8)},
    "BendingEnergyLoss": {"displacements": numbers(2, 2, 8, 8)},
    "BoxGIoULoss": {"boxes": _BOXES, "target_boxes": _BOXES + 0.5},
    "DiffusionLoss": {"displacements": numbers(2, 2, 8, 8)},
    "PatchAdversarialLoss": {"scores": numbers(2, 1, 8, 8), "target_is_real": True, "for_discriminator": True},
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
    "classes": "num_classes",
}
_DEFAULTS = {"spatial_dims": 2, "pretrained": False}
_SIZED: Mapping[str, Any] = {
    "backbone": "efficientnet-b0", "channels": (8, 16), "img_size": (64, 64), "model_name": "efficientnet-b0",
    "patch_size": 16, "strides": (2,),
}  # fmt: skip
_EXAMPLES_OF_MODELS: Mapping[str, Mapping[str, Any]] = {
    "Classifier": {"in_shape": (3, 64, 64), "strides": (2, 2)},
    "AHNet": {SIZE: (3, 128, 128)},
    "DynUNet": {
        "kernel_size": ((3, 3), (3, 3), (3, 3)), "strides": ((1, 1), (2, 2), (2, 2)),
        "upsample_kernel_size": ((2, 2), (2, 2)),
    },
    "TorchVisionFCModel": {SIZE: (3, 256, 256)},
}  # fmt: skip
#: What the functions and classes take that pass any keywords on.
_PASSED_ON = {
    "resnet": {"n_input_channels": "in_channels", "num_classes": "num_classes"},
    "senet": {"in_channels": "in_channels", "num_classes": "num_classes"},
}
_PARTS = frozenset(
    {
        "BertAttention", "BertMixedLayer", "BertOutput", "BertPreTrainedModel", "EfficientNetEncoder", "HighResBlock",
        "PatchMerging", "PatchMergingV2", "Pooler", "ResNetBlock", "ResNetBottleneck", "ResNetEncoder",
        "ResNetFeatures", "EfficientNetBNFeatures", "TopologyConstruction", "TopologyInstance", "TopologySearch",
    }
)  # fmt: skip


def candidates() -> Iterator[Candidate]:
    """Losses, the optimizer and its schedule, then networks."""
    yield from _losses()
    yield candidate("optimizer", "novograd", "monai.optimizers:Novograd", Novograd, positional=1)
    yield candidate(
        "scheduler",
        "warmup_cosine",
        "monai.optimizers:WarmupCosineSchedule",
        WarmupCosineSchedule,
        positional=1,
        defaults={"warmup_steps": 0},
        supplied={"t_total": "span"},
        hidden=("last_epoch",),
        interval="step",
    )
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
        elif attribute in _TAKES:
            yield called_with(name, target, found, _TAKES[attribute])
            continue
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
    nets = monai.networks.nets
    functions = {name: value for name, value in vars(nets).items() if re.fullmatch(r"resnet\d+", name)}
    for attribute, found in sorted({**_classes(nets, nn.Module), **functions}.items()):
        name, target = attribute.lower(), f"monai.networks.nets:{attribute}"
        if attribute in _PARTS:
            yield Candidate("model", name, target, {}, "it is a part of other networks")
            continue
        parameters = inspect.signature(found).parameters
        needed = [one.name for one in parameters.values() if one.default is one.empty]
        example = {name: value for name, value in _SIZED.items() if name in needed}
        passed_on = _PASSED_ON.get(found.__module__.rpartition(".")[2]) if "kwargs" in parameters else None
        further: dict[str, Any] = {"runtime_args": passed_on} if passed_on else {}
        yield candidate(
            "model",
            name,
            target,
            found,
            defaults={name: value for name, value in _DEFAULTS.items() if name in parameters or passed_on},
            supplied=_SIZES,
            example={**example, **_EXAMPLES_OF_MODELS.get(attribute, {})},
            summary=first_sentence(found) or f"{attribute} of MONAI",
            **further,
        )
