"""Settings as an args.yaml for timm's train.py."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.conversion.followed import direction
from lossreg.conversion.result import unwritten
from lossreg.conversion.timm.args import DEFAULTS
from lossreg.conversion.timm.expressions import Counts, arguments_of
from lossreg.conversion.torch_classes import check_complete, for_class
from lossreg.conversion.yaml_text import write_yaml
from lossreg.registry.build import ResolvedComponent, resolve
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec, thawed
from lossreg.values import shown
from lossreg.weights import WeightsChoice

#: Component -> what timm calls it.
_OPTIMIZERS: Mapping[str, str] = {
    f"builtin.{name}": name for name in ("adam", "adamw", "nadam", "radam", "adamax", "adadelta", "adagrad", "rmsprop")
}
#: Options of groups that timm makes by itself.
_UNDECAYED = ("no_decay", "ndim<=1 | *.bias", "*.bias | ndim<=1", "ndim<=1")
#: Settings that are written, or of which it is said how they are not.
_WRITTEN = (
    "loss", "optimizer", "scheduler", "scheduler_interval", "param_groups", "epochs", "batch_size", "accumulate",
    "clip_grad_norm", "seed", "weights", "precision", "data", "model",
)  # fmt: skip


@attrs.define
class _Text:
    """What is written, while it is made.

    Attributes:
        spec: The settings.
        registries: Where components are looked up.
        args: The arguments.
        notes: What the reader has to know.
    """

    spec: RunSpec
    registries: Registries
    args: dict[str, Any] = attrs.field(factory=dict)
    notes: list[str] = attrs.field(factory=list)

    def resolved(self, spec: ComponentSpec, kind: str) -> ResolvedComponent[Any]:
        """A component, checked."""
        kept, notes = for_class(spec, kind)
        self.notes += notes
        found = resolve(self.registries.of(kind), kept)
        check_complete(found.entry, found.written)
        return found


def write(spec: RunSpec, registries: Registries) -> tuple[str, tuple[str, ...]]:
    """Writes settings for `train.py --config`; see `lossreg.conversion.formats.FormatModule`."""
    text = _Text(spec, registries)
    rate = _write_optimizer(text)
    _write_groups(text)
    _write_schedule(text, rate)
    _write_loss(text)
    _write_loop(text)
    return write_yaml(text.args), tuple(text.notes)


def _write_optimizer(text: _Text) -> float | None:
    """Writes the optimizer, and gives its rate."""
    component = text.resolved(text.spec.optimizer, "optimizer")
    entry = component.entry
    params = {
        key: value for key, value in {**entry.component.defaults, **component.written}.items() if value is not None
    }
    if entry.id == "builtin.sgd":
        word = "sgd" if params.pop("nesterov", False) else "momentum"
    else:
        word = _OPTIMIZERS.get(entry.id, entry.name if entry.provenance.plugin == "timm" else "")
    if not word or entry.component.nested is not None:
        text.notes.append(f"optimizer: train.py does not have {text.spec.optimizer.text}, so that it is left out")
        return None
    rate = params.pop("lr", None)
    text.args |= {"opt": word, "lr": rate, "weight_decay": params.pop("weight_decay", 0.0)}
    if "momentum" in params:
        text.args["momentum"] = params.pop("momentum")
    for key in ("eps", "betas"):
        if key in params:
            value = params.pop(key)
            text.args[f"opt_{key}"] = list(value) if isinstance(value, tuple) else value
    own = {
        key: thawed(value)
        for key, value in params.items()
        if key in component.written or word in ("adagrad", "rmsprop")
    }
    if own:
        text.args["opt_kwargs"] = {
            key: list(value) if isinstance(value, tuple) else value for key, value in own.items()
        }
    return rate if isinstance(rate, int | float) else None


def _write_groups(text: _Text) -> None:
    decayed = True
    for group in text.spec.param_groups:
        if group.layer_decay is not None:
            text.args["layer_decay"] = group.layer_decay
        elif group.pattern in _UNDECAYED and (group.is_preset or group.options == (("weight_decay", 0),)):
            decayed = False
        else:
            text.notes.append(f"param_groups: train.py has no group {shown(group.pattern)}, so that it is left out")
    if decayed and text.args.get("weight_decay"):
        text.args.setdefault("opt_kwargs", {})["filter_bias_and_bn"] = False
        text.notes.append(
            "weight_decay is for all parameters here, which opt_kwargs says: timm leaves out biases and norms"
        )
    elif any(group.pattern == "no_decay" for group in text.spec.param_groups):
        text.notes.append(
            "no_decay: timm goes by dimensions alone, so that a norm of several dimensions has weight decay"
        )


def _write_schedule(text: _Text, rate: float | None) -> None:
    spec, epochs = text.spec.scheduler, text.spec.epochs
    text.args |= {"sched": "none", "epochs": epochs, "warmup_epochs": 0}
    if spec is None:
        return
    component = text.resolved(spec, "scheduler")
    written = dict(component.written)
    if component.entry.id == "builtin.lambda_lr":
        _write_expression(text, str(written["lr_lambda"]), rate)
        return
    warmed = component.entry.id == "builtin.warmup"
    args: dict[str, Any] | None = {}
    if warmed:
        length = _epochs_of(written.get("length", "10%"), epochs)
        start = written.get("start_factor", 1 / 3)
        if rate is None or text.spec.scheduler_interval == "step":
            args = None
        else:
            args = {
                "warmup_epochs": length,
                "warmup_lr": float(f"{start * rate:.12g}"),  # as many digits as are read
                "warmup_prefix": True,
                "epochs": epochs - length,
            }
        inner = written.get("schedule")
        component = text.resolved(inner, "scheduler") if isinstance(inner, ComponentSpec) else component
    shape = _shape(component, text.args["epochs"] if args is None else args.get("epochs", epochs), text)
    if args is None or shape is None:
        text.notes.append(f"scheduler: train.py does not have {spec.text}, so that the rate is constant")
        return
    text.args |= {**args, **shape}
    if text.spec.scheduler_interval == "step" and shape["sched"] != "plateau":
        text.args["sched_on_updates"] = True


def _write_expression(text: _Text, expression: str, rate: float | None) -> None:
    """Writes the schedule that an expression is, where it is one that reading makes of train.py's arguments."""
    by_steps = text.spec.scheduler_interval == "step"
    counts = Counts(text.spec.epochs, rate or 0.0, by_steps, text.args.get("layer_decay"))
    found = arguments_of(expression, counts) if rate else None
    if found is None:
        text.notes.append(
            f"scheduler: train.py has no schedule with the rates of {shown(expression)}, so that the rate is constant"
        )
        return
    text.args |= found


def _epochs_of(length: Any, epochs: int) -> int:
    """A length in epochs, which may be written as a part of them."""
    percent = re.fullmatch(r"\s*([\d.]+)\s*%\s*", length) if isinstance(length, str) else None
    return max(1, round(epochs * float(percent[1]) / 100)) if percent else int(length)


def _shape(component: ResolvedComponent[Any], epochs: int, text: _Text) -> dict[str, Any] | None:
    """The arguments for one schedule; None where timm does not have it."""
    params = {**component.entry.component.defaults, **component.written}
    spans = {params.get(key, epochs) for key in ("T_max", "total_iters") if key in params}
    match component.entry.id:
        case "builtin.warmup":
            return {"sched": "constant"}
        case "builtin.cosine_annealing_lr" if spans <= {epochs}:
            return {"sched": "cosine", "min_lr": params["eta_min"]}
        case "builtin.polynomial_lr" if spans <= {epochs}:
            return {"sched": "poly", "decay_rate": params["power"], "min_lr": 0.0}
        case "builtin.step_lr":
            return {"sched": "step", "decay_epochs": params["step_size"], "decay_rate": params["gamma"]}
        case "builtin.multi_step_lr":
            text.notes.append("milestones: timm comes to each an epoch early, so that they are one more there")
            later = [one + 1 for one in params["milestones"]]
            return {"sched": "multistep", "decay_milestones": later, "decay_rate": params["gamma"]}
        case "builtin.reduce_lr_on_plateau":
            return _plateau(params, text)
    return None


def _plateau(params: dict[str, Any], text: _Text) -> dict[str, Any]:
    monitor = str(params["monitor"])
    mode = direction(monitor, text.registries) if params["mode"] == "auto" else params["mode"]
    metric = "top1" if mode == "max" else "loss"  # train.py takes more of any metric as better, but for a loss
    text.notes.append(f"plateau: it follows {monitor}, which is written as eval_metric={metric}")
    kept = {key: params[key] for key in ("threshold", "threshold_mode", "cooldown", "eps")}
    if kept != {"threshold": 1e-4, "threshold_mode": "rel", "cooldown": 0, "eps": 1e-8}:
        text.notes.append(f"plateau: train.py has no {', '.join(kept)}, so that they are left out")
    return {
        "sched": "plateau", "decay_rate": params["factor"], "patience_epochs": params["patience"],
        "min_lr": params["min_lr"], "eval_metric": metric,
    }  # fmt: skip


def _write_loss(text: _Text) -> None:
    if text.spec.loss is None:
        text.args["smoothing"] = 0.0
        return
    component = text.resolved(text.spec.loss, "loss")
    params = dict(component.written)
    if component.entry.id == "timm.binary_cross_entropy":
        text.args |= {"bce_loss": True, "smoothing": params.pop("smoothing", 0.1)}
        if not text.args["smoothing"]:
            text.notes.append("loss: train.py takes cross-entropy where smoothing is 0, unless samples are mixed")
        for key, name in (
            ("target_threshold", "bce_target_thresh"),
            ("sum_classes", "bce_sum"),
            ("pos_weight", "bce_pos_weight"),
        ):
            if key in params:
                text.args[name] = params.pop(key)
    elif component.entry.id == "builtin.cross_entropy":
        text.args["smoothing"] = params.pop("label_smoothing", 0.0)
    else:
        text.args["smoothing"] = 0.0
        text.notes.append(f"loss: train.py does not have {text.spec.loss.text}, so that it is cross-entropy")
        return
    if params:
        text.notes.append(f"loss: train.py has no {', '.join(params)}, so that they are left out")


def _write_loop(text: _Text) -> None:
    spec = text.spec
    text.args |= {"batch_size": spec.batch_size, "seed": spec.seed}
    text.notes.append("batch_size is that of one process in timm, and of all together here")
    if spec.accumulate > 1:
        text.args["grad_accum_steps"] = spec.accumulate
    if spec.clip_grad_norm is not None:
        text.args |= {"clip_grad": spec.clip_grad_norm, "clip_mode": DEFAULTS["clip_mode"]}
    weights = WeightsChoice.parse(spec.weights)
    if weights.kind == "ema":
        text.args |= {"model_ema": True, "model_ema_decay": weights.decay}
    elif weights.kind not in ("auto", "raw"):
        text.notes.append(f"weights: train.py does not have {spec.weights}, so that they are those of training")
    if spec.precision in ("16", "bf16"):
        text.args |= {"amp": True, "amp_dtype": "bfloat16" if spec.precision == "bf16" else "float16"}
    elif spec.precision == "32":
        text.args["amp"] = False
    text.notes.append("data, model and augmentation are train.py's own arguments")
    text.notes += unwritten(spec, _WRITTEN, "train.py")
