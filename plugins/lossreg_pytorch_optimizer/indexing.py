"""What pytorch_optimizer has, from its own registries; this imports it."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import pytorch_optimizer
from pytorch_optimizer.loss import LOSS_FUNCTIONS
from pytorch_optimizer.lr_scheduler import LR_SCHEDULERS
from pytorch_optimizer.optimizer import OPTIMIZERS

from lossreg.spec import ComponentSpec
from lossreg_bridges.candidates import GROUPS, Candidate, called_with, candidate, first_sentence, name_of
from lossreg_bridges.trial_data import mask, numbers

DISTRIBUTION = "pytorch-optimizer"

_WRAPS = {"needs": ("optimizer",), "required": ("optimizer",), "nested": "optimizer"}
_CLIMBS = {"required": ("base_optimizer",), "nested": "base_optimizer"}
_INNER = {"optimizer": ComponentSpec("adamw"), "base_optimizer": ComponentSpec("sgd")}
_IN_GROUPS = "write --param-groups 'ndim>=2: use_muon=True' --param-groups 'ndim<2: use_muon=False'"

#: Those that the package's own list does not have, since they take another optimizer, or the model.
_WRAPPERS = (
    "BSAM", "FriendlySAM", "GSAM", "LookSAM", "Lookahead", "OrthoGrad", "PCGrad", "SAM", "SafeFP16Optimizer",
    "ScheduleFreeWrapper", "TRAC", "WSAM",
)  # fmt: skip

#: Name -> what its record has to say that its class does not tell.
_FIELDS: Mapping[str, Mapping[str, Any]] = {
    **dict.fromkeys(("lookahead", "orthograd", "schedulefreewrapper", "trac"), _WRAPS),
    **dict.fromkeys(("sam", "friendlysam", "looksam"), _CLIMBS),
    "wsam": {**_CLIMBS, "needs": ("model",), "runtime_args": {"params": "params"}},
    "bsam": {"runtime_args": {"num_data": "num_samples"}, "required": ()},
    "ranger21": {"runtime_args": {"num_iterations": "total_steps"}, "required": ()},
    "kron": {"defaults": {"memory_save_mode": "smart_one_diag"}},
}
_TAKE_GROUPS = frozenset({"adago", "adamuon", "muon", "muonclip", "normuon"})

#: By default its first steps are 1e-8 of the other's.
_EXAMPLES: Mapping[str, Mapping[str, Any]] = {"trac": {"s_prev": 0.01}}

_LEFT_OUT = {
    "adalomo": "it updates the weights on the way back, and its step does nothing",
    "demo": "it takes a group of processes, as torchrun makes it",
    "distributedmuon": "it takes a group of processes, as torchrun makes it",
    "dynamiclossscaler": "it scales losses, and is not an optimizer",
    "gsam": "its closure returns outputs and loss, and it takes a scheduler for its radius",
    "lomo": "it updates the weights on the way back, and its step does nothing",
    "pcgrad": "it takes several losses, one for each task",
    "rotograd": "it takes a backbone and several heads",
    "safefp16optimizer": "it scales the loss itself, by a backward() of its own; --precision 16 does so",
}

#: Class -> the contract of the loss, and the parameters that make it what the contract says.
_LOSSES: Mapping[str, tuple[str, str, Mapping[str, Any]]] = {
    "BCEFocalLoss": ("label_probabilities", "multilabel", {}),
    "BCELoss": ("label_probabilities", "multilabel", {}),
    "BiTemperedLogisticLoss": ("logits", "index", {"t1": 0.8, "t2": 1.2}),
    "DiceLoss": ("logits", "index", {"mode": "multiclass"}),
    "FocalCosineLoss": ("logits", "index", {}),
    "FocalLoss": ("logits", "multilabel", {}),
    "FocalTverskyLoss": ("logits", "multilabel", {}),
    "JaccardLoss": ("logits", "index", {"mode": "multiclass"}),
    "LDAMLoss": ("logits", "index", {}),
    "LovaszHingeLoss": ("logits", "multilabel", {}),
    "SoftF1Loss": ("label_probabilities", "multilabel", {}),
    "TverskyLoss": ("logits", "multilabel", {}),
}

#: Class -> what it takes in place of output and target, each with a value that it is tried with, and its parameters.
_TAKES: Mapping[str, tuple[Mapping[str, Any], Mapping[str, Any]]] = {
    "BinaryBiTemperedLogisticLoss": (
        {"logits": numbers(8, 1, 4), "mask": mask(8, 1, 4)},
        {"t1": 0.8, "t2": 1.2},
    ),
}

#: What a schedule is told of the run, under each of the names that there are for it.
_SPANS = {
    "T_max": "span", "first_cycle_steps": "span", "num_epochs": "span", "t_max": "span", "total_iters": "span",
    "total_steps": "span",
}  # fmt: skip
_SCHEDULED: Mapping[str, Mapping[str, Any]] = {
    "cosine": {"max_lr": 0.1}, "linear": {"max_lr": 0.1}, "poly": {"max_lr": 0.1},
    "cosine_annealing_with_warm_restart": {"T_0": 2},
    "cyclic": {"base_lr": 0.01, "max_lr": 0.1},
    "multi_step": {"milestones": [2, 4]},
    "one_cycle": {"max_lr": 0.1},
    "step": {"step_size": 2},
    "warmup_stable_decay": {"num_warmup_steps": 2, "num_stable_steps": 2, "num_decay_steps": 2},
}  # fmt: skip
_NO_SCHEDULES = {
    "multiplicative": "it takes a function; builtin.multiplicative_lr takes an expression",
    "proportion": "it follows another schedule, and is not one of an optimizer",
}


def candidates() -> Iterator[Candidate]:
    """Optimizers, schedulers, then losses."""
    wrappers = {name.lower(): getattr(pytorch_optimizer, name) for name in _WRAPPERS}
    yield from (_optimizer(name, found) for name, found in sorted({**OPTIMIZERS, **wrappers}.items()))
    yield from (_scheduler(name, found) for name, found in sorted(LR_SCHEDULERS.items()))
    yield from (_loss(found) for _, found in sorted(LOSS_FUNCTIONS.items()))


def _public(found: Any, module: str) -> str:
    """Where a class or function is found: torch's own are where the package has them."""
    public = getattr(pytorch_optimizer, found.__name__, None) is found
    return f"{'pytorch_optimizer' if public else module}:{found.__name__}"


def _optimizer(name: str, found: Any) -> Candidate:
    target = _public(found, "pytorch_optimizer.optimizer")
    if name in _LEFT_OUT:
        return Candidate("optimizer", name, target, {}, _LEFT_OUT[name])
    fields = dict(_FIELDS.get(name, {}))
    nested = fields.get("nested")
    positional = 0 if nested == "optimizer" else 1
    summary = first_sentence(found)
    if name in _TAKE_GROUPS:
        fields["summary"] = f"{summary}; {_IN_GROUPS}"
    return candidate(
        "optimizer",
        name,
        target,
        found,
        positional=positional,
        defaults=fields.pop("defaults", None),
        hidden=("foreach", "fused", "capturable", "differentiable"),
        example={
            **_EXAMPLES.get(name, {}),
            **({nested: _INNER[nested]} if nested else {}),
            **({GROUPS: True} if name in _TAKE_GROUPS else {}),
        },
        **fields,
    )


def _scheduler(name: str, found: Any) -> Candidate:
    target = _public(found, "pytorch_optimizer.lr_scheduler")
    if name in _NO_SCHEDULES:
        return Candidate("scheduler", name, target, {}, _NO_SCHEDULES[name])
    example = _SCHEDULED.get(name, {})
    fields: dict[str, Any] = {"interval": "step"}
    if name in ("cosine", "linear", "poly"):  # the base class has the parameters that these pass on
        fields |= {
            "runtime_args": {"t_max": "span"},
            "required": ("max_lr",),
            "defaults": {"min_lr": 0.0, "init_lr": 0.0, "warmup_steps": 0},
        }
    return candidate(
        "scheduler",
        name,
        target,
        found,
        positional=1,
        supplied=_SPANS,
        hidden=("last_epoch", "verbose", "epochs", "steps_per_epoch", "scale_fn", "scale_mode"),
        example=example,
        **fields,
    )


def _loss(found: Any) -> Candidate:
    attribute = found.__name__
    name, target = name_of(attribute, "loss"), f"pytorch_optimizer.loss:{attribute}"
    if attribute in _TAKES:
        taken, defaults = _TAKES[attribute]
        return called_with(name, target, found, taken, defaults=defaults)
    if attribute not in _LOSSES:
        return Candidate("loss", name, target, {}, "what it compares is not known here")
    given, compared, defaults = _LOSSES[attribute]
    example = {"num_class_list": [4, 2, 2]} if attribute == "LDAMLoss" else None
    return candidate("loss", name, target, found, defaults=defaults, example=example, input=given, target=compared)
