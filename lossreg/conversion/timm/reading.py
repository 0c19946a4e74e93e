"""timm: the args.yaml that its train.py writes, and the command line of that."""

from __future__ import annotations

from typing import Any

from lossreg.conversion.result import Converted, Draft
from lossreg.conversion.timm.args import DEFAULTS, LAUNCHER, OTHERS, Args, read_args
from lossreg.conversion.timm.schedules import read_schedule
from lossreg.errors import LossregError
from lossreg.registry.registries import Registries
from lossreg.spec import ComponentSpec
from lossreg.values import shown

#: What timm calls one of torch's optimizers -> the component, and what timm sets.
TORCH: dict[str, tuple[str, dict[str, Any]]] = {
    "sgd": ("sgd", {"nesterov": True}),
    "nesterov": ("sgd", {"nesterov": True}),
    "momentum": ("sgd", {"nesterov": False}),
    "adam": ("adam", {}),
    "adamw": ("adamw", {}),
    "nadam": ("nadam", {}),
    "radam": ("radam", {}),
    "radamw": ("radam", {"decoupled_weight_decay": True}),
    "adamax": ("adamax", {}),
    "adadelta": ("adadelta", {}),
    "adagrad": ("adagrad", {"eps": 1e-8}),
    "rmsprop": ("rmsprop", {"alpha": 0.9}),
}

#: Parameters of one dimension, and biases: what timm leaves without weight decay.
UNDECAYED = "ndim<=1 | *.bias"
LAYERS_UNDECAYED = "ndim<=1"  # the same where layers have rates of their own

_OF_OPTIMIZERS = ("weight_decay", "momentum", "opt_eps", "opt_betas", "opt_kwargs", "layer_decay")
_CLIPPING = "norm"
#: Arguments whose default does nothing, or which matter with others alone.
_NEUTRAL = frozenset(
    {"lr_cycle_limit", "lr_cycle_mul", "lr_cycle_decay", "lr_k_decay"}
    | {"lr_base_size", "grad_accum_steps", "amp_dtype", "clip_mode"}
)


def read(text: str, where: str, registries: Registries) -> Converted:
    """Reads an args.yaml, or a command line; see `lossreg.conversion.formats.FormatModule`."""
    args, draft = read_args(text, where), Draft()
    rate = _rate(args, draft)
    _read_loss(args, draft)
    _read_optimizer(args, rate, draft, registries)
    read_schedule(args, rate, draft)
    _read_loop(args, draft)
    _tell_assumed(args, draft)
    _leave_out_others(args, draft)
    return draft.done()


def _rate(args: Args, draft: Draft) -> float:
    """The learning rate, which train.py may make from that of a batch of 256."""
    if args.number("lr"):
        return args.number("lr")
    base, size, processes = args.number("lr_base"), args.whole("lr_base_size", least=1), args.processes or 1
    batch = args.whole("batch_size", least=1) * args.whole("grad_accum_steps", least=1) * processes
    scale = args["lr_base_scale"] or ("sqrt" if any(one in str(args["opt"]).lower() for one in ("ada", "lamb")) else "")
    rate = base * (batch / size) ** (0.5 if scale == "sqrt" else 1)
    how = "the root of " if scale == "sqrt" else ""
    draft.note(
        f"lr is lr_base={base:g} times {how}{batch} / {size}, the batch of "
        f"{'one process' if processes == 1 else f'{processes} processes'} over lr_base_size: {rate:.6g}"
    )
    return float(f"{rate:.12g}")


def _read_loss(args: Args, draft: Draft) -> None:
    smoothing = args.number("smoothing")
    mixed = [key for key in ("mixup", "cutmix", "cutmix_minmax") if args[key]]
    if mixed:
        draft.leave_out(
            f"{', '.join(f'{key}={args[key]}' for key in mixed)}: samples are not mixed; the loss is that of "
            "plain samples"
        )
    if args["jsd_loss"]:
        draft.leave_out("jsd_loss: it compares augmented versions of a sample, which a run does not have")
    elif args["bce_loss"] and (smoothing or mixed):
        given = {"target_threshold": args["bce_target_thresh"], "pos_weight": args["bce_pos_weight"]}
        params = {"smoothing": smoothing, **{key: value for key, value in given.items() if value is not None}}
        if args["bce_sum"]:
            params["sum_classes"] = True
        draft.set("loss", ComponentSpec("timm.binary_cross_entropy", params))
    else:
        if args["bce_loss"]:
            draft.note("bce_loss has no effect: train.py takes cross-entropy where smoothing is 0 and nothing is mixed")
        draft.set("loss", ComponentSpec("cross_entropy", {"label_smoothing": smoothing} if smoothing else {}))


def _read_optimizer(args: Args, rate: float, draft: Draft, registries: Registries) -> None:
    written = str(args["opt"]).lower()
    wraps, word = written.startswith("lookahead_"), written.rpartition("_")[2]
    name, fixed = TORCH.get(word, (f"timm.{word}", {}))
    try:
        component = registries.optimizers[name].component
    except LossregError as error:
        others = [f"{key}={shown(args.given[key])}" for key in _OF_OPTIMIZERS if args.given.get(key) not in (None, {})]
        draft.leave_out(f"opt={written}: {error.message.partition(chr(10))[0]}")
        draft.leave_out(
            f"lr={rate:g}{''.join(f', {one}' for one in others)}: they are of the optimizer, which is left out"
        )
        return
    if component.routes not in (None, "all"):
        draft.leave_out(
            f"opt={written}: the fallback of timm's {word} for biases and the like is another optimizer here: write "
            f"rest=adamw(lr=...) into {name}(...)"
        )
    more = args.table("opt_kwargs")
    decays = args.number("weight_decay") > 0
    for key in ("filter_bias_and_bn", "weight_decay_exclude_1d"):
        decays = more.pop(key, True) and decays
    params = {"lr": rate, "weight_decay": args.number("weight_decay"), **fixed}
    known = component.known_parameters
    if "momentum" in known:
        params["momentum"] = args.number("momentum")
    params |= {key: args[f"opt_{key}"] for key in ("eps", "betas") if key in known and args[f"opt_{key}"] is not None}
    for key in more.keys() - {*known}:
        draft.leave_out(f"opt_kwargs: {name} has no parameter {shown(key)}")
    spec = ComponentSpec(name, {**params, **{key: value for key, value in more.items() if key in known}})
    if name == "sgd" and word == "sgd":
        draft.note("opt=sgd has Nesterov momentum in timm")
    draft.set("optimizer", _wrapped(spec, draft, registries) if wraps else spec)
    _read_groups(args, decays, draft)


def _wrapped(spec: ComponentSpec, draft: Draft, registries: Registries) -> ComponentSpec:
    """The optimizer within timm's Lookahead, or within ours where timm is not installed."""
    draft.note(
        "opt=lookahead_...: train.py also brings the slow weights up to date after each epoch, which a run does not"
    )
    if "timm.lookahead" in registries.optimizers:
        return ComponentSpec("timm.lookahead", {"alpha": 0.5, "k": 6}, (spec,))
    draft.note("opt=lookahead_...: timm's slow weights begin with the first of them, lossreg's with the first weights")
    return ComponentSpec("lookahead", {"alpha": 0.5, "k": 6}, (spec,))


def _read_groups(args: Args, decays: bool, draft: Draft) -> None:
    groups: dict[str, Any] = {}
    layered = args["layer_decay"] is not None
    if decays:
        groups[LAYERS_UNDECAYED if layered else UNDECAYED] = "weight_decay=0"
        draft.note(
            "weight_decay: timm leaves parameters of one dimension and biases without it, which is a parameter group "
            "here; what a model of timm names besides (no_weight_decay(), such as pos_embed) is not in it"
        )
    if layered:
        groups[f"layer_decay({args.number('layer_decay')!r})"] = True
        draft.note(
            "layer_decay: timm counts layers by what its model says, lossreg by the model's children; see "
            "`lossreg plan`"
        )
        for key in ("layer_decay_min_scale", "layer_decay_no_opt_scale"):
            if args[key]:
                draft.leave_out(f"{key}={args[key]}: layer_decay has no lowest scale")
    if groups:
        draft.set("param_groups", groups)


def _read_loop(args: Args, draft: Draft) -> None:
    processes = args.processes or 1
    draft.set("batch_size", args.whole("batch_size", least=1) * processes)
    if processes > 1:
        draft.note(f"batch_size is that of all {processes} processes together; timm's is that of one")
    elif args.given.get("batch_size") is not None:
        draft.note("batch_size is that of all processes together; timm's is that of one")
    if args.whole("grad_accum_steps", least=1) > 1:
        draft.set("accumulate", args.whole("grad_accum_steps"))
    if args["clip_grad"] is not None and args["clip_mode"] == _CLIPPING:
        draft.set("clip_grad_norm", args.number("clip_grad"))
    elif args["clip_grad"] is not None:
        draft.leave_out(
            f"clip_mode={args['clip_mode']}: gradients are clipped by their norm alone, so that they are not"
        )
    draft.set("seed", args.whole("seed"))
    if args["amp"]:
        draft.set("precision", "bf16" if args["amp_dtype"] == "bfloat16" else "16")
    elif "amp" in args.given:
        draft.set("precision", "32")
    if args["model_ema"]:
        draft.set("weights", f"ema({args.number('model_ema_decay')!r})")
        if args["model_ema_warmup"]:
            draft.leave_out("model_ema_warmup: the decay of the average is the same at all steps")


def _tell_assumed(args: Args, draft: Draft) -> None:
    said = ", ".join(f"{key}={value}" for key, value in args.assumed.items() if key not in _NEUTRAL)
    if said:
        draft.note(f"not in {args.where}, so that it is as in the train.py of timm 1.0: {said}")


def _leave_out_others(args: Args, draft: Draft) -> None:
    """Names what else in the file changes what is trained."""
    model = args.given.get("model")
    if model:
        draft.leave_out(f'model={model}: a model is named by hand, as model = "timm.{str(model).partition(".")[0]}"')
    others = [
        f"{key}={value}"
        for key, value in args.given.items()
        if key in OTHERS and key != "model" and value is not None and value != OTHERS[key]
    ]
    if others:
        draft.leave_out(f"not read, since they are of data, augmentation and model: {', '.join(others)}")
    if args.given.get("config"):
        draft.leave_out(f"config={args.given['config']}: that file is not read; convert it by itself")
    known = {*DEFAULTS, *OTHERS, *LAUNCHER}
    unknown = [key for key, value in args.given.items() if value and key not in known]
    if unknown:
        draft.leave_out(f"not read, since they are not of the recipe: {', '.join(map(str, unknown))}")
