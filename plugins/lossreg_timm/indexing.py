"""What timm has, from its own registries; this imports timm."""

from __future__ import annotations

from collections.abc import Iterator

import timm
import timm.loss
import timm.models
import timm.optim

from lossreg.errors import LossregError
from lossreg.names import check_name
from lossreg.spec import ComponentSpec
from lossreg_bridges.candidates import SIZE, Candidate, candidate, first_sentence, name_of

DISTRIBUTION = "timm"

#: Those for some parameters only, which steps of small weights do not show.
_ROUTES = {
    "muon": "hidden_weights",
    "nmuon": "hidden_weights",
    "adamuon": "hidden_weights",
    "nadamuon": "hidden_weights",
}

#: Class -> what it compares with; all take logits.
_LOSSES = {
    "AsymmetricLossMultiLabel": ("multilabel",),
    "AsymmetricLossSingleLabel": ("index",),
    "BinaryCrossEntropy": ("index",),
    "LabelSmoothingCrossEntropy": ("index",),
    "PolyBinaryCrossEntropy": ("multilabel",),
    "PolyCrossEntropy": ("index",),
    "SoftTargetCrossEntropy": ("probabilities",),
    "TwoWayLoss": ("multilabel",),
    "ZlprLoss": ("multilabel",),
}


def candidates() -> Iterator[Candidate]:
    """Losses, optimizers, then models."""
    yield from (_loss(attribute, *contract) for attribute, contract in sorted(_LOSSES.items()))
    yield from map(_optimizer, timm.optim.list_optimizers())
    yield candidate(
        "optimizer",
        "lookahead",
        "timm.optim:Lookahead",
        timm.optim.Lookahead,
        needs=("optimizer",),
        nested="base_optimizer",
        example={"base_optimizer": ComponentSpec("adamw")},
        summary="Slow weights that follow another optimizer (Zhang et al. 2019)",
    )
    yield from map(_model, timm.list_models())


def _loss(attribute: str, compared: str) -> Candidate:
    found = getattr(timm.loss, attribute)
    name = name_of(attribute, "loss")
    summary = first_sentence(found) or f"{attribute} of timm"
    return candidate("loss", name, f"timm.loss:{attribute}", found, input="logits", target=compared, summary=summary)


def _optimizer(name: str) -> Candidate:
    info = timm.optim.get_optimizer_info(name)
    found = info.opt_class
    if isinstance(found, str):
        return Candidate("optimizer", name, found, {}, f"it is in {found.partition('.')[0]}, and needs CUDA")
    target = f"timm.optim:{found.__name__}"
    if getattr(timm.optim, found.__name__, None) is not found:
        target = f"{found.__module__}:{found.__name__}"
    # timm's own factory gives this momentum to all that have one.
    defaults = {**({"momentum": 0.9} if info.has_momentum else {}), **(info.defaults or {})}
    return candidate(
        "optimizer",
        name,
        target,
        found,
        positional=1,
        defaults=defaults,
        hidden=("foreach", "differentiable", "capturable", "fused"),
        summary=info.description.rstrip("."),
        routes=_ROUTES.get(name, "all"),
    )


def _model(name: str) -> Candidate:
    found = timm.models.model_entrypoint(name)
    target = f"{found.__module__}:{found.__name__}"
    try:
        check_name(name, "a model")
    except LossregError as error:
        return Candidate("model", name, target, {}, error.message)
    return candidate(
        "model",
        name,
        target,
        found,
        defaults={"pretrained": False},
        # Behind the one parameter that the function names it takes any.
        runtime_args={"num_classes": "num_classes", "in_chans": "in_channels"},
        example={SIZE: _size(name)},
        family=found.__module__,
        summary=first_sentence(found) or f"A network of {found.__module__}",
    )


def _size(name: str) -> tuple[int, ...]:
    """The size of the pictures that a model is made for."""
    config = timm.models.get_pretrained_cfg(name)
    return tuple(config.input_size) if config is not None else (3, 224, 224)
