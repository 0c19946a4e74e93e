"""YAML of LightningCLI, read and written."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from lossreg.conversion.followed import TORCH_PLATEAU, counted, followed, torch_plateau
from lossreg.conversion.known_classes import find_class
from lossreg.conversion.places import Place
from lossreg.conversion.result import PRECISIONS, Converted, Draft
from lossreg.conversion.torch_classes import spec_of_class
from lossreg.conversion.yaml_text import read_yaml
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries
from lossreg.values import shown

#: Where a file has an optimizer, a schedule or a loss: the first of them that is there is read.
_PLACES: Mapping[str, tuple[str, ...]] = {
    "optimizer": ("optimizer", "model.init_args.optimizer", "model.optimizer"),
    "scheduler": (
        "lr_scheduler", "model.init_args.lr_scheduler", "model.init_args.scheduler", "model.lr_scheduler",
        "model.scheduler",
    ),
    "loss": (
        "model.init_args.criterion", "model.init_args.loss", "model.init_args.loss_fn", "model.criterion", "model.loss",
        "model.loss_fn",
    ),
}  # fmt: skip
#: What looks like a class: a path, or a name that begins with a capital letter.
_CLASS = re.compile(r"(?:\w+\.)*[A-Z]\w*|\w+(?:\.\w+)+", re.ASCII)
_NO_ARGUMENT = "it is not an argument of the class, which has them in init_args"
#: Settings of the trainer that change nothing of what is trained.
_IGNORED = (
    "accelerator", "barebones", "benchmark", "check_val_every_n_epoch", "default_root_dir", "detect_anomaly", "devices",
    "enable_autolog_hparams", "enable_checkpointing", "enable_model_summary", "enable_progress_bar", "inference_mode",
    "log_every_n_steps", "logger", "num_nodes", "num_sanity_val_steps", "profiler", "strategy",
    "use_distributed_sampler", "val_check_interval",
)  # fmt: skip


def read(text: str, where: str, registries: Registries) -> Converted:
    """Reads a YAML of LightningCLI; see `lossreg.conversion.formats.FormatModule`."""
    draft = Draft()
    content = read_yaml(text, where)
    inner = content.get("fit")
    if isinstance(inner, Mapping) and "trainer" not in content and "optimizer" not in content:
        draft.leave_out(*(f"{key}: the settings of fit are read" for key in content if key != "fit"))
        content = dict(inner)
    whole = Place(content, "", draft)
    for kind in ("loss", "optimizer"):
        _read_component(kind, whole, registries)
    trainer = whole.inner("trainer")
    epochs = _read_trainer(trainer) if trainer else None
    _read_scheduler(whole, registries, epochs)
    _read_rest(whole)
    return draft.done()


def _at(table: Any, path: str) -> Any:
    for key in path.split("."):
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _found(kind: str, whole: Place) -> Place | None:
    """Where the file has a component of a kind; the path of a class alone is one without arguments."""
    for path in _PLACES[kind]:
        value = _at(whole.table, path)
        if isinstance(value, str) and (kind != "loss" or _CLASS.fullmatch(value)):
            return Place({"class_path": value}, path, whole.draft)
        if isinstance(value, Mapping) and value:
            return Place(value, path, whole.draft)
        if value is not None and (kind != "loss" or isinstance(value, str)):
            whole.draft.leave_out(f"{path}: {shown(value)} is not a class with arguments")
    return None


def _read_component(kind: str, whole: Place, registries: Registries) -> None:
    place = _found(kind, whole)
    if place is None:
        return
    draft = whole.draft
    path, arguments = _class_call(place)
    place.leave_out_rest(_NO_ARGUMENT)
    if path is None:
        return
    try:
        found = spec_of_class(path, arguments, kind, registries)
    except ConfigError as error:
        draft.leave_out(f"{place.path}: {error.message}")
        return
    draft.set(kind, found.spec)
    draft.note(*found.notes)
    draft.leave_out(*(f"{place.path}: {one}" for one in found.left_out))


def _class_call(place: Place) -> tuple[str | None, dict[str, Any]]:
    """The class at a place, and its arguments."""
    path, arguments = place.get("class_path", str), place.get("init_args", Mapping)
    if path is None and place.table.get("class_path") is None:
        place.leave_out("class_path", "it is missing, so that only the program knows the class; write it")
    more = place.get("dict_kwargs", Mapping)
    whole = {str(key): value for key, value in {**(arguments or {}), **(more or {})}.items()}
    if whole.get("last_epoch") == -1:
        del whole["last_epoch"]  # a fresh start, which a run makes by itself
    return path, whole


def _read_trainer(trainer: Place) -> int | None:
    """The settings of the trainer.

    Returns:
        How many epochs there are, or None.
    """
    draft = trainer.draft
    epochs = _length(trainer, "max_epochs")
    steps = _length(trainer, "max_steps")
    if epochs is not None:
        draft.set("epochs", epochs)
    if steps is not None:
        draft.set("max_steps", steps)
        if epochs is None:
            draft.note(
                f"trainer.max_steps={steps}: a run ends after its epochs, too; set epochs to at least max_steps "
                "divided by the steps of an epoch"
            )
    elif epochs is None:
        draft.note("trainer.max_epochs is not set: Lightning trains for 1000 epochs then, and lossreg for 20")
    _read_gradients(trainer)
    precision = trainer.get("precision", str, int) or "32-true"  # the Trainer's default
    if str(precision) in PRECISIONS:
        draft.set("precision", PRECISIONS[str(precision)])
    else:
        trainer.leave_out("precision", f"lossreg has no precision {shown(precision)}")
    deterministic = trainer.get("deterministic", bool, str)
    if deterministic is True:
        draft.set("deterministic", True)
    elif deterministic:
        trainer.leave_out("deterministic", f"lossreg has nothing like {shown(deterministic)}")
    for callback in trainer.get("callbacks", list, Mapping) or ():
        name = callback.get("class_path") if isinstance(callback, Mapping) else callback
        trainer.leave_out("callbacks", f"{shown(name)} is not known in lossreg")
    trainer.take(*_IGNORED)
    for key, value in trainer.rest().items():
        if value is not False and value != 0:
            trainer.leave_out(key, "lossreg does not read it")
    return epochs


def _length(trainer: Place, key: str) -> int | None:
    """A number of epochs or steps; -1 is none."""
    if trainer.table.get(key) == -1:
        trainer.take(key)
        return None
    return trainer.whole(key)


def _read_gradients(trainer: Place) -> None:
    """Clipping and accumulation."""
    draft = trainer.draft
    limit, algorithm = trainer.get("gradient_clip_val", int, float), trainer.get("gradient_clip_algorithm", str)
    if limit and algorithm in (None, "norm"):
        draft.set("clip_grad_norm", float(limit))
    elif limit:
        trainer.leave_out(
            "gradient_clip_val", f"lossreg clips by the norm of all gradients together, not by {algorithm}"
        )
    accumulate = trainer.whole("accumulate_grad_batches")
    if accumulate is not None and accumulate > 1:
        draft.set("accumulate", accumulate)
        draft.note(
            f"accumulate={accumulate}: the last step of an epoch may have fewer batches; Lightning divides their "
            f"gradients by {accumulate}, too, and lossreg by how many samples there are"
        )


def _read_scheduler(whole: Place, registries: Registries, epochs: int | None) -> None:
    """The schedule, which LightningCLI steps after each epoch where nothing else is said."""
    place = _found("scheduler", whole)
    if place is None:
        return
    draft = whole.draft
    interval, monitor = place.get("interval", str), place.get("monitor", str)
    place.take("frequency")
    path, arguments = _class_call(place)
    place.take("name", "strict", "reduce_on_plateau")
    place.leave_out_rest(_NO_ARGUMENT)
    if path is None:
        return
    path = torch_plateau(path)
    if path == TORCH_PLATEAU:
        monitor = arguments.pop("monitor", None) or monitor
        name = None if monitor is None else str(monitor)
        arguments |= followed(name, arguments.get("mode", "min"), draft, place.at("monitor"))
    counts = counted(interval, place.table.get("frequency"), "epoch", path == TORCH_PLATEAU, draft, place.path)
    if counts is None:
        return
    span = epochs if counts == "epoch" and "max_steps" not in draft.settings else None
    try:
        found = spec_of_class(path, arguments, "scheduler", registries, span=span)
        own = find_class(path, "scheduler", registries).component.interval
    except ConfigError as error:
        draft.leave_out(f"{place.path}: {error.message}")
        return
    draft.set("scheduler", found.spec)
    if counts != own:
        draft.set("scheduler_interval", counts)
    draft.note(*found.notes)
    draft.leave_out(*(f"{place.path}: {one}" for one in found.left_out))


def _read_rest(whole: Place) -> None:
    """Seeds and batches; and what is not read."""
    draft = whole.draft
    seed = whole.get("seed_everything", bool, int)
    if isinstance(seed, bool):
        if seed:
            draft.note("seed_everything=true is a new seed each time; lossreg has 0")
    elif seed is not None:
        draft.set("seed", seed)
    for path in ("data.init_args", "data"):
        inner = _at(whole.table, path)
        if isinstance(inner, Mapping) and inner.get("batch_size") is not None:
            size = Place(inner, path, draft).whole("batch_size")
            if size is not None:
                draft.set("batch_size", size)
                draft.note(f"batch_size={size} is taken for one process; lossreg has that of all processes together")
            break
    whole.take("model", "data", "optimizer", "lr_scheduler", "ckpt_path", "config", "verbose", "weights_only")
    for key in ("model", "data"):
        inner = whole.table.get(key)
        own = inner.get("class_path") if isinstance(inner, Mapping) else inner
        if own:
            draft.leave_out(f"{key}: {own} is a class of your own; name it by data and model of lossreg")
    whole.leave_out_rest()
