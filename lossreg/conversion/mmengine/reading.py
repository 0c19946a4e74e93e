"""Configs of MMEngine and OpenMMLab, read and written."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from lossreg.conversion.mmengine.config import read_config
from lossreg.conversion.mmengine.entries import Facts
from lossreg.conversion.mmengine.groups import read_paramwise
from lossreg.conversion.mmengine.losses import read_loss
from lossreg.conversion.mmengine.schedules import read_schedule
from lossreg.conversion.places import Place
from lossreg.conversion.python_literals import Dotted
from lossreg.conversion.quoted import unquoted
from lossreg.conversion.result import Converted, Draft
from lossreg.conversion.torch_classes import spec_of_class
from lossreg.conversion.unread import Unread
from lossreg.errors import ConfigError
from lossreg.registry.registries import Registries
from lossreg.spec import ComponentSpec
from lossreg.values import shown

#: What a config has that is no business of the settings that are read.
_OTHERS = {
    "auto_scale_lr", "backend_args", "custom_imports", "dataset_type", "data_preprocessor", "data_root",
    "default_hooks", "default_scope", "env_cfg", "experiment_name", "launcher", "load_from", "log_level",
    "log_processor", "model_wrapper_cfg", "resume", "test_cfg", "test_dataloader", "test_evaluator", "test_pipeline",
    "train_pipeline", "tta_model", "tta_pipeline", "val_cfg", "val_dataloader", "val_evaluator", "val_pipeline",
    "vis_backends", "visualizer", "work_dir",
}  # fmt: skip
#: Optimizers that MMEngine knows by another name than torch.
_OPTIMIZERS = {"TorchAdafactor": "torch.optim.Adafactor", "Adafactor": "transformers.Adafactor"}
_DTYPES = {
    None: "16", "float16": "16", "fp16": "16", "half": "16", "torch.float16": "16", "bfloat16": "bf16",
    "torch.bfloat16": "bf16",
}  # fmt: skip


def read(text: str, where: str, registries: Registries) -> Converted:
    """Reads a config: Python of literals, YAML or JSON; see `lossreg.conversion.formats.FormatModule`."""
    draft = Draft()
    content, passed_over = read_config(text, where)
    draft.leave_out(*passed_over)
    whole = Place(content, "", draft)
    read_loss(whole, registries)
    epochs, iterations = _read_length(whole)
    wrapper = whole.inner("optim_wrapper")
    rate, accumulate = _read_wrapper(wrapper, registries) if wrapper else (None, 1)
    written = _at(whole.table, "optim_wrapper", "optimizer", "lr")
    is_default = written is not None and not isinstance(written, int | float) and unquoted(written) is None
    if iterations is not None:
        draft.set("max_steps", -(-iterations // accumulate))
        draft.note(
            f"train_cfg.max_iters={iterations} is max_steps; a run ends after its epochs, too: set epochs to at least "
            "max_steps divided by the steps of an epoch"
        )
    schedule = whole.get("param_scheduler", list, tuple, Mapping, Unread)
    if schedule:
        has_rates = any("lr=" in one for one in draft.settings.get("param_groups", {}).values())
        read_schedule(schedule, Facts(epochs, iterations, accumulate, rate, has_rates, is_default), draft)
    _read_rest(whole)
    return draft.done()


def _at(table: Any, *keys: str) -> Any:
    for key in keys:
        table = table.get(key) if isinstance(table, Mapping) else None
    return table


def _read_length(whole: Place) -> tuple[int | None, int | None]:
    """Epochs or iterations of the training."""
    training = whole.inner("train_cfg")
    if training is None:
        return None, None
    by_epoch, loop = training.get("by_epoch", bool), training.get("type", str) or ""
    training.take("val_interval", "val_begin", "dynamic_intervals")
    epochs = training.whole("max_epochs")
    iterations = training.whole("max_iters")
    if epochs is not None and (iterations is None or by_epoch) and not loop.endswith("IterBasedTrainLoop"):
        training.draft.set("epochs", epochs)
        iterations = None
    elif iterations is not None:
        epochs = None
    training.leave_out_rest()
    return epochs, iterations


def _read_wrapper(wrapper: Place, registries: Registries) -> tuple[float | None, int]:
    """The optimizer and what is done around it.

    Returns:
        Its rate, if that is known, and how many iterations make a step.
    """
    draft = wrapper.draft
    kind = (wrapper.get("type", str) or "").rpartition(".")[2]
    if kind == "AmpOptimWrapper":
        _read_precision(wrapper)
    elif kind in ("OptimWrapper", ""):  # which is the default
        draft.set("precision", "32")
    else:
        wrapper.leave_out("type", f"{kind} is not known; it is taken for OptimWrapper")
    accumulate = wrapper.whole("accumulative_counts") or 1
    if accumulate > 1:
        draft.set("accumulate", accumulate)
        draft.note(
            f"accumulate={accumulate}: MMEngine goes on accumulating from one epoch to the next; in lossreg an epoch "
            "ends with a step, in which each batch has the weight of its samples"
        )
    _read_clipping(wrapper)
    inner = wrapper.inner("optimizer")
    spec = _read_optimizer(inner, registries) if inner else None
    params = {} if spec is None else dict(spec.params)
    rate, decay = (
        params.get("lr"),
        params.get("weight_decay") if inner and inner.table.get("weight_decay") is not None else None,
    )
    if spec is not None and rate is None:
        rate = registries.optimizers[spec.name].component.defaults.get("lr")
    _read_groups(wrapper, rate, decay)
    wrapper.leave_out_rest()
    return rate if isinstance(rate, int | float) else None, accumulate


def _read_precision(wrapper: Place) -> None:
    dtype, scale = wrapper.get("dtype", str), wrapper.get("loss_scale", int, float, str, Mapping)
    if dtype not in _DTYPES:
        wrapper.leave_out("dtype", f"lossreg has no precision {shown(dtype)}")
        return
    wrapper.draft.set("precision", _DTYPES[dtype])
    if scale not in (None, "dynamic"):
        wrapper.leave_out("loss_scale", "lossreg scales the loss by itself")


def _read_clipping(wrapper: Place) -> None:
    clipping = wrapper.inner("clip_grad")
    if clipping is None:
        return
    by, norm = clipping.get("type", str) or "norm", clipping.get("norm_type", int, float)
    clipping.take("error_if_nonfinite", "foreach")
    limit = clipping.get("max_norm", int, float)
    if by != "norm" or norm not in (None, 2):
        wrapper.leave_out("clip_grad", "lossreg clips by the Euclidean norm of all gradients together")
    elif limit is not None:
        wrapper.draft.set("clip_grad_norm", float(limit))
        clipping.leave_out_rest()


def _read_optimizer(inner: Place, registries: Registries) -> ComponentSpec | None:
    name = inner.get("type", str)
    if name is None:
        inner.leave_out("type", "it names no optimizer")
        return None
    path = name if isinstance(name, Dotted) or name.startswith("torch.") else name.rpartition(".")[2]
    path, arguments = _OPTIMIZERS.get(path, path), inner.arguments()
    try:
        found = spec_of_class(path, arguments, "optimizer", registries)
    except ConfigError as error:
        inner.draft.leave_out(f"{inner.path}: {error.message}")
        return None
    inner.draft.set("optimizer", found.spec)
    inner.draft.note(*found.notes)
    inner.draft.leave_out(*(f"{inner.path}: {one}" for one in found.left_out))
    values = {**registries.optimizers[found.spec.name].component.defaults, **dict(found.spec.params)}
    for key in [key for key in inner.rest() if key not in arguments and key in values]:
        inner.draft.note(
            f"{inner.at(key)}: it has the default of the class, {shown(values[key])}, since it is not read"
        )
    return found.spec


def _read_groups(wrapper: Place, rate: Any, decay: Any) -> None:
    constructor = wrapper.get("constructor", str)
    if constructor is not None and constructor.rpartition(".")[2] != "DefaultOptimWrapperConstructor":
        wrapper.take("paramwise_cfg")
        wrapper.leave_out("constructor", f"{constructor} is not known, and so is not what its paramwise_cfg means")
        return
    paramwise = wrapper.inner("paramwise_cfg")
    groups = {} if paramwise is None else read_paramwise(paramwise, rate, decay)
    if groups:
        wrapper.draft.set("param_groups", groups)
        wrapper.draft.note(
            "param_groups: MMEngine passes over a rule that fits no parameter; lossreg refuses a pattern that "
            "matches none"
        )


def _read_rest(whole: Place) -> None:
    """Batches and seeds; and what is not read."""
    draft = whole.draft
    loader = whole.inner("train_dataloader")
    size = loader.whole("batch_size") if loader else None
    if size is not None:
        draft.set("batch_size", size)
        draft.note(f"batch_size={size} is that of one process in MMEngine, and of all processes together in lossreg")
    randomness = whole.inner("randomness")
    if randomness is not None:
        seed = randomness.whole("seed", least=0)
        if seed is not None:
            draft.set("seed", seed)
        if randomness.get("deterministic", bool):
            draft.set("deterministic", True)
        randomness.take("diff_rank_seed")
        randomness.leave_out_rest()
    for place, hook in enumerate(whole.get("custom_hooks", list, tuple) or ()):
        if isinstance(hook, Mapping):
            _read_hook(Place(hook, f"custom_hooks[{place}]", draft))
        elif isinstance(hook, Unread):
            draft.leave_out(f"custom_hooks[{place}]: {hook}")
    scaling = whole.table.get("auto_scale_lr")
    if isinstance(scaling, Unread) or (isinstance(scaling, Mapping) and scaling.get("enable")):
        draft.leave_out("auto_scale_lr: the rate is not scaled by the size of a batch")
    for path in (
        "model.train_cfg.augments",
        "model.data_preprocessor.batch_augments",
        "data_preprocessor.batch_augments",
    ):
        if _at(whole.table, *path.split(".")):
            draft.leave_out(f"{path}: samples are not mixed; the loss is that of plain samples")
    whole.take(*_OTHERS)
    tables = [key for key, value in whole.rest().items() if isinstance(value, Mapping | Unread)]
    if tables:
        draft.leave_out(f"not read: {', '.join(tables)}")


def _read_hook(hook: Place) -> None:
    """An average of the weights; MMEngine's is made as lossreg's, from those after the first step on."""
    kind = (hook.get("type", str) or "a hook").rpartition(".")[2]
    average = (hook.get("ema_type", str) or "ExponentialMovingAverage").rpartition(".")[2]
    momentum = hook.get("momentum", int, float)
    momentum = 0.0002 if momentum is None else momentum
    hook.take("priority", "strict_load", *(["update_buffers"] if not hook.table.get("update_buffers") else []))
    if kind != "EMAHook" or average != "ExponentialMovingAverage" or hook.rest() or not 0 < momentum < 1:
        unread = f" with {', '.join(sorted(hook.rest()))}" if kind == "EMAHook" and hook.rest() else ""
        hook.draft.leave_out(f"{hook.path}: lossreg does not know {kind}{unread}")
    elif "accumulate" in hook.draft.settings:
        hook.draft.leave_out(f"{hook.path}: the average of MMEngine is over iterations, and that of lossreg over steps")
    else:
        hook.draft.set("weights", f"ema({float(f'{1 - momentum:.12g}')!r})")
