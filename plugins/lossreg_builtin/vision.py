"""The models of torchvision, fitted to the data: channels, classes and sizes of pictures, and weights by name.

`lossreg_builtin.vision:resnet18` is a factory, and so is every other name of the table in `vision_models.py`.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from lossreg.errors import BuildError, describe_error
from lossreg.suggestions import did_you_mean
from lossreg.values import shortened, shown
from lossreg_builtin.downloads import patient
from lossreg_builtin.vision_models import LEAST_SIDE, MODELS, SEGMENTATION

COLOURS = 3  # channels that torchvision builds its models for

#: Beginnings of the names of models whose first convolution draws its weights by the number of its inputs.
_BY_INPUTS = ("alexnet", "densenet", "shufflenet", "squeezenet", "swin", "vit")

#: What a model has for its training alone, and a file of weights with it: the beginnings of names.
_AUXILIARY = ("aux1.", "aux2.", "AuxLogits.", "aux_classifier.")

#: Names in the files of DenseNets, which are older than those of its modules.
_OLD_DENSE = re.compile(
    r"^(.*denselayer\d+\.(?:norm|relu|conv))\.((?:[12])\.(?:weight|bias|running_mean|running_var))$"
)

_TRANSFORMS_INPUT = ("googlenet", "inception_v3")  # whose weights are for channels in another order of magnitude
_SHAPE = tuple[int, ...] | None


def __getattr__(name: str) -> Callable[..., nn.Module]:
    """The factory of a model."""
    if name not in MODELS:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")

    def build(
        num_classes: int = 1000, in_channels: int = 3, in_shape: _SHAPE = None, weights: str | None = None
    ) -> nn.Module:
        return build_model(name, num_classes, in_channels, in_shape, weights)

    build.__name__ = build.__qualname__ = name
    build.__module__ = __name__
    build.__doc__ = _DOCUMENTATION.format(summary=MODELS[name])
    globals()[name] = build
    return build


_DOCUMENTATION = """{summary}, as torchvision.models builds it.

    Args:
        num_classes: Outputs.
        in_channels: Channels of a picture; the first convolution is made for them.
        in_shape: `(channels, height, width)` of a picture, which is compared with what the model takes.
        weights: Trained weights to begin with, which torchvision downloads: "DEFAULT", or a name such as
            "IMAGENET1K_V1". Where their classes are not `num_classes` in number, the last layer is a new one. For grey
            pictures, the first convolution adds up its weights for the three colours. None draws new weights.

    Shape:
        - input: `(N, in_channels, height, width)`, floating point.
        - output: `(N, num_classes)`, logits; of a segmentation `(N, num_classes, height, width)`.

    Raises:
        BuildError: If the pictures are too small or of a wrong shape, or the weights do not exist, cannot be
            downloaded or do not fit.
    """


def build_model(name: str, num_classes: int, in_channels: int, in_shape: _SHAPE, weights: str | None) -> nn.Module:
    """Builds a model of torchvision; see the docstring of each factory.

    Raises:
        BuildError: If it does not fit the data, or its weights cannot be had.
    """
    from torchvision import models

    _check_shape(name, in_shape)
    chosen = None if weights is None else _weights_of(name, weights)
    classes = num_classes if chosen is None else len(chosen.meta["categories"])
    arguments = {**_arguments(name, in_shape), "num_classes": classes}
    model: nn.Module = models.get_model(name, weights=None, **arguments)
    if chosen is not None:
        if in_channels != COLOURS and (in_channels != 1 or name in _TRANSFORMS_INPUT):
            raise _wrong(
                name,
                f"weights={weights!r} are for pictures of 3 channels"
                f"{'' if name in _TRANSFORMS_INPUT else ', or of 1'}; those of the data set have {in_channels}",
            )
        _load(name, model, chosen, in_shape)
        if classes != num_classes:
            _replace_head(model, classes, num_classes)
    if in_channels != COLOURS:
        _replace_first(name, model, in_channels, is_trained=chosen is not None)
    return Segmentation(model) if name in SEGMENTATION else model


class Segmentation(nn.Module):
    """A segmentation model of torchvision that gives its logits, not a dictionary with them.

    Args:
        model: Gives a dictionary with the logits as `"out"`.

    Shape:
        - input: `(N, in_channels, height, width)`, floating point.
        - output: `(N, num_classes, height, width)`, logits.
    """

    def __init__(self, model: nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, pictures: Tensor) -> Tensor:
        """The logits of each pixel."""
        logits: Tensor = self.model(pictures)["out"]
        return logits


def _wrong(name: str, message: str) -> BuildError:
    return BuildError(f"{name}: {message}", component=f"builtin.{name}")


def _check_shape(name: str, in_shape: _SHAPE) -> None:
    """Checks that a model can take the pictures of a data set.

    Raises:
        BuildError: If it cannot.
    """
    if in_shape is None:
        return
    if len(in_shape) != 3:
        raise _wrong(name, f"it takes pictures (channels, height, width), and an input has the shape {in_shape}")
    sides = in_shape[1:]
    height, width = sides
    step = _step(name)
    least = max(LEAST_SIDE.get(name, 1), step)
    nearest = max(least, -(-max(sides) // step) * step)
    advice = (
        f"size={nearest} of the data set (--data.size {nearest}) makes them so; a data set without that parameter "
        "needs another model"
    )
    if min(sides) < least:
        raise _wrong(name, f"it takes pictures of at least {least}x{least} pixels, not {height}x{width}; {advice}")
    if step > 1 and (height % step or width % step):
        raise _wrong(name, f"it takes pictures whose sides are multiples of {step}, not {height}x{width}; {advice}")
    if name.startswith("vit_") and height != width:
        raise _wrong(name, f"it takes square pictures, not {height}x{width}; {advice}")


def _step(name: str) -> int:
    """What the sides of a picture are multiples of."""
    if name.startswith("vit_"):
        return int(name.rpartition("_")[2])  # of a patch
    return 224 if name == "maxvit_t" else 1  # windows of 7 after halving five times


def _arguments(name: str, in_shape: _SHAPE) -> dict[str, Any]:
    """What a builder of torchvision takes for these pictures, with nothing for the training alone."""
    if name in SEGMENTATION:
        # Without it torchvision would download weights for the backbone.
        return {"weights_backbone": None, **({} if name.startswith("lraspp") else {"aux_loss": False})}
    if name in _TRANSFORMS_INPUT:
        return {"aux_logits": False, "init_weights": True}
    if in_shape is not None and name.startswith("vit_"):
        return {"image_size": in_shape[1]}
    if in_shape is not None and name == "maxvit_t":
        return {"input_size": in_shape[1:]}
    return {}


def _weights_of(name: str, weights: str) -> Any:
    """The member of torchvision's enumeration.

    Raises:
        BuildError: If there is none of this name.
    """
    from torchvision import models

    # Those of vgg16 that are for features alone have no classes.
    known = {key: each for key, each in models.get_model_weights(name).__members__.items() if each.meta["categories"]}
    word = weights.rpartition(".")[2]
    if word not in known:
        raise _wrong(
            name, f"no weights named {shown(weights)}.{did_you_mean(word, known)} There are: {', '.join(known)}"
        )
    return known[word]


def _load(name: str, model: nn.Module, weights: Any, in_shape: _SHAPE) -> None:
    """Has a model begin with trained weights, which are downloaded unless they are there.

    Raises:
        BuildError: If they cannot be had, or do not fit.
    """
    try:
        with patient():
            # Nothing of what was downloaded is run.
            state = weights.get_state_dict(progress=sys.stderr.isatty(), check_hash=True, weights_only=True)
    except Exception as error:  # of the network, the file system, or the file
        raise _wrong(
            name,
            f"its weights {weights.name} are not in {torch.hub.get_dir()}/checkpoints and cannot be downloaded from "
            f"{weights.url}, or the file is damaged ({describe_error(error)}); weights=None draws new ones",
        ) from error
    for key in list(state):  # in place: a file of MNASNet says in an attribute which version it is
        value = state.pop(key)
        if not key.startswith(_AUXILIARY):
            state[_OLD_DENSE.sub(r"\1\2", key)] = value
    if name.startswith("vit_") and in_shape is not None:
        from torchvision.models.vision_transformer import interpolate_embeddings

        state = interpolate_embeddings(in_shape[1], _step(name), state)
    try:
        model.load_state_dict(state)
    except (RuntimeError, ValueError) as error:
        raise _wrong(name, f"its weights {weights.name} do not fit: {shortened(describe_error(error))}") from error
    if name in _TRANSFORMS_INPUT:
        given: Any = model
        given.transform_input = True  # as torchvision does with these weights


def _replace_head(model: nn.Module, classes: int, num_classes: int) -> None:
    """Puts a new layer in the place of the last one, which gives the logits."""
    for key, old in reversed(list(model.named_modules())):
        if isinstance(old, nn.Linear) and old.out_features == classes:
            new: nn.Module = nn.Linear(old.in_features, num_classes, bias=old.bias is not None)
        elif isinstance(old, nn.Conv2d) and old.out_channels == classes:
            new = nn.Conv2d(old.in_channels, num_classes, kernel_size=1, bias=old.bias is not None)
        else:
            continue
        _put(model, key, new)
        if key != "classifier.high_classifier":
            return  # LR-ASPP adds up the outputs of two layers


def _replace_first(name: str, model: nn.Module, in_channels: int, *, is_trained: bool) -> None:
    """Makes the first convolution for other pictures than coloured ones.

    Args:
        name: Of the model.
        model: The model.
        in_channels: Of a picture.
        is_trained: Whether its weights are trained. Grey pictures are then seen as coloured ones of three equal
            channels; else the weights are drawn again, from a normal distribution of the deviation that the model's own
            has for so many inputs.
    """
    place, old = next(
        (key, part)
        for key, part in model.named_modules()
        if isinstance(part, nn.Conv2d) and part.in_channels == COLOURS
    )
    # mypy takes what a convolution keeps for tuples of any length.
    form: dict[str, Any] = {key: getattr(old, key) for key in ("kernel_size", "stride", "padding", "dilation")}
    new = nn.Conv2d(in_channels, old.out_channels, bias=old.bias is not None, **form)
    with torch.no_grad():
        if is_trained:
            new.weight.copy_(old.weight.sum(dim=1, keepdim=True))
        else:
            scale = (COLOURS / in_channels) ** 0.5 if name.startswith(_BY_INPUTS) else 1.0
            new.weight.normal_().mul_(old.weight.std(correction=0) * scale)
        if old.bias is not None and new.bias is not None:
            new.bias.copy_(old.bias)
    _put(model, place, new)


def _put(model: nn.Module, key: str, new: nn.Module) -> None:
    parent, _, last = key.rpartition(".")
    setattr(model.get_submodule(parent), last, new)
