"""The loss of a model in a config of MMEngine."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossreg.conversion.known_classes import class_path, find_class
from lossreg.conversion.places import Place
from lossreg.conversion.torch_classes import spec_of_class
from lossreg.conversion.unread import Unread
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries

#: Where a config has the loss of a model.
_LOSSES = (
    "model.loss",
    "model.loss_module",
    "model.head.loss",
    "model.head.loss_module",
    "model.decode_head.loss_decode",
)
#: Losses of OpenMMLab that are torch's of the same name.
_PLAIN_LOSSES = ("CrossEntropyLoss", "L1Loss", "MSELoss", "SmoothL1Loss")


def read_loss(whole: Place, registries: Registries) -> None:
    """The loss of the model, where it is in one of the places that are known."""
    found = [(path, value) for path in _LOSSES if (value := _at(whole.table, path)) is not None]
    whole.take("model", "loss")
    if isinstance(whole.table.get("loss"), Mapping | Unread):
        found.insert(0, ("loss", whole.table["loss"]))
    unread = next((value for _, value in found if isinstance(value, Unread)), None)
    if unread is not None:  # it may be the one that counts
        whole.draft.leave_out(f"the loss: {unread}")
        found = []
    for place, (path, value) in enumerate(found):
        if not isinstance(value, Mapping) or place:
            whole.draft.leave_out(f"{path}: lossreg has one loss, which is a table here")
            continue
        _read_one_loss(Place(value, path, whole.draft), registries)
    if whole.table.get("model") is not None:
        whole.draft.leave_out("model: a model of OpenMMLab is not known in lossreg")


def _at(table: Any, path: str) -> Any:
    """What stands at a path; `Unread` where the path leads through what is not known."""
    for key in path.split("."):
        if not isinstance(table, Mapping):
            return table if isinstance(table, Unread) else None
        table = table.get(key)
    return table


def _read_one_loss(loss: Place, registries: Registries) -> None:
    written = loss.get("type", str) or ""
    name = written.rpartition(".")[2]
    if not _is_own_class(written, registries):
        own = _openmmlab_loss(loss, name)
        if own is None:
            return
        name, arguments = own
        written = f"torch.nn.{name}"
    else:
        arguments = loss.arguments()
    try:
        found = spec_of_class(written, arguments, "loss", registries)
    except ConfigError as error:
        loss.draft.leave_out(f"{loss.path}: {error.message}")
        return
    loss.draft.set("loss", found.spec)
    loss.draft.note(*found.notes)
    loss.draft.leave_out(*(f"{loss.path}: {one}" for one in found.left_out))


def _is_own_class(written: str, registries: Registries) -> bool:
    """Whether it is the path of a class that a component is, as a config has it that was written from settings."""
    if written.startswith("torch."):
        return True
    try:
        return class_path(find_class(written, "loss", registries)) == written
    except ConfigError:
        return False


def _openmmlab_loss(loss: Place, name: str) -> tuple[str, dict[str, Any]] | None:
    """The class of torch that a loss of OpenMMLab is, with its arguments; None if there is none."""
    weight = loss.get("loss_weight", int, float)
    loss.take("loss_name", "num_classes")
    arguments: dict[str, Any] = {}
    if name == "CrossEntropyLoss" and loss.get("use_sigmoid", bool):
        name = "BCEWithLogitsLoss"
    elif name == "LabelSmoothLoss" and (loss.get("mode", str) or "original") == "original":
        name, arguments["label_smoothing"] = "CrossEntropyLoss", loss.get("label_smooth_val", int, float)
    elif name not in _PLAIN_LOSSES:
        loss.draft.leave_out(f"{loss.path}: {name or 'it'} is not a loss of which lossreg has one that is equal")
        return None
    loss.take("use_sigmoid", "mode", *(["use_soft"] if not loss.table.get("use_soft") else []))
    renamed = {"class_weight": "pos_weight"} if name == "BCEWithLogitsLoss" else {"class_weight": "weight"}
    if name == "BCEWithLogitsLoss":
        loss.take("pos_weight")
        arguments["pos_weight"] = loss.table.get("pos_weight")
        if loss.table.get("class_weight") is not None:
            loss.leave_out("class_weight", "bce_with_logits has no such weights")
        loss.take("class_weight")
    arguments |= {renamed.get(key, key): value for key, value in loss.arguments().items()}
    if weight not in (None, 1):
        loss.leave_out("loss_weight", f"the loss is not multiplied by {weight}; multiply the rate of an SGD by it")
    if name == "CrossEntropyLoss" and arguments.get("weight") is not None:
        loss.leave_out("class_weight", "OpenMMLab's mean is over samples; here it is over their weights, as in torch")
    return name, arguments
