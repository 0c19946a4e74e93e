"""Settings as a config of MMEngine: a Python file of literals."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import attrs

from lossreg.conversion.followed import direction
from lossreg.conversion.mmengine.entries import Facts
from lossreg.conversion.mmengine.expressions import entries_of
from lossreg.conversion.mmengine.group_writing import write_paramwise
from lossreg.conversion.result import unwritten
from lossreg.conversion.torch_classes import class_of_spec
from lossreg.errors import ConfigError, LossregError
from lossreg.registry.build import resolve
from lossreg.registry.entry import RegistryEntry
from lossreg.registry.registries import Registries
from lossreg.run_spec import RunSpec
from lossreg.spec import ComponentSpec

_WIDTH = 100  # characters of a line; longer tables are split

#: Settings that are written; of all others that are not the default it is said that they are not.
_WRITTEN = (
    "loss", "optimizer", "scheduler", "scheduler_interval", "param_groups", "epochs", "max_steps", "batch_size",
    "accumulate", "clip_grad_norm", "seed", "deterministic", "precision", "weights",
)  # fmt: skip
_DTYPES = {"16": "float16", "bf16": "bfloat16"}
#: Component -> class of MMEngine, and its parameters by lossreg's names.
_PLAIN = {
    "step_lr": ("StepLR", ("step_size", "gamma")),
    "multi_step_lr": ("MultiStepLR", ("milestones", "gamma")),
    "exponential_lr": ("ExponentialLR", ("gamma",)),
}


def write(spec: RunSpec, registries: Registries) -> tuple[str, tuple[str, ...]]:
    """Writes settings as a config; see `lossreg.conversion.formats.FormatModule`."""
    notes: list[str] = []
    content: dict[str, Any] = {"optim_wrapper": _wrapper(spec, registries, notes)}
    if spec.scheduler is not None:
        try:
            content["param_scheduler"] = _Schedules(spec, registries, notes).entries()
        except LossregError as error:
            notes.append(f"scheduler: {error.message}; it is left out")
    if spec.max_steps is None:
        content["train_cfg"] = {"by_epoch": True, "max_epochs": spec.epochs}
    else:
        content["train_cfg"] = {"by_epoch": False, "max_iters": spec.max_steps * spec.accumulate}
        notes.append(f"epochs={spec.epochs} is left out: MMEngine counts epochs or iterations, not both")
    content["train_dataloader"] = {"batch_size": spec.batch_size}
    content["randomness"] = {"seed": spec.seed, **({"deterministic": True} if spec.deterministic else {})}
    average = re.fullmatch(r"ema\((.+)\)", spec.weights)
    if average and spec.accumulate == 1:
        content["custom_hooks"] = [{"type": "EMAHook", "momentum": float(f"{1 - float(average[1]):.12g}")}]
    elif spec.weights not in (RunSpec().weights, "raw"):  # those of training, which are what MMEngine has
        notes.append(f"weights={spec.weights} is left out: MMEngine has ema(X), over iterations, alone")
    if spec.loss is not None:
        notes += _loss(spec.loss, registries, content)
    notes += unwritten(spec, _WRITTEN, "a config of MMEngine")
    return "\n".join(f"{key} = {_text(value, len(key) + 3)}" for key, value in content.items()) + "\n", tuple(notes)


def _wrapper(spec: RunSpec, registries: Registries, notes: list[str]) -> dict[str, Any]:
    wrapper: dict[str, Any] = {"type": "OptimWrapper"}
    if spec.precision in _DTYPES:
        wrapper = {"type": "AmpOptimWrapper", "dtype": _DTYPES[spec.precision]}
    has_decay = False
    try:
        call = class_of_spec(spec.optimizer, "optimizer", registries)
        name = call.path.removeprefix("torch.optim.") if call.path.startswith("torch.optim.") else call.path
        name = {"Adafactor": "TorchAdafactor"}.get(name, name)
        wrapper["optimizer"] = {"type": name, **_with_rates(spec.optimizer, call.arguments, registries)}
        has_decay = "weight_decay" in wrapper["optimizer"]
        notes += call.notes
    except LossregError as error:
        notes.append(f"optimizer: {error.message}; it is left out")
    if spec.accumulate > 1:
        wrapper["accumulative_counts"] = spec.accumulate
    if spec.clip_grad_norm is not None:
        wrapper["clip_grad"] = {"max_norm": spec.clip_grad_norm}
    paramwise, left_out = write_paramwise(spec.param_groups, has_decay)
    notes += left_out
    if paramwise:
        wrapper["paramwise_cfg"] = paramwise
    return wrapper


def _with_rates(spec: ComponentSpec, arguments: Mapping[str, Any], registries: Registries) -> dict[str, Any]:
    """The arguments with rate and weight decay, which factors of parameter groups need to be written."""
    defaults = registries.optimizers[spec.name].component.defaults
    own = {key: defaults[key] for key in ("lr", "weight_decay") if key in defaults}
    return {**own, **arguments}


def _loss(spec: ComponentSpec, registries: Registries, content: dict[str, Any]) -> list[str]:
    try:
        call = class_of_spec(spec, "loss", registries)
    except LossregError as error:
        return [f"loss: {error.message}; it is left out"]
    content["model"] = {"loss": {"type": call.path, **call.arguments}}
    return [*call.notes, "model: it has the loss alone; name a model that builds its loss from this, and its parts"]


@attrs.define
class _Schedules:
    """A schedule as a list of schedulers of MMEngine.

    Attributes:
        run: The settings.
        registries: Where components are looked up.
        notes: Where it is said what means something else.
    """

    run: RunSpec
    registries: Registries
    notes: list[str]

    def entries(self) -> list[dict[str, Any]]:
        """The list.

        Raises:
            LossregError: If MMEngine has no equal.
        """
        spec = self.run.scheduler
        assert spec is not None  # noqa: S101  # the caller has looked
        own, params = self._looked_up(spec)
        if own.name == "lambda_lr":
            return self._expression(spec, str(params.get("lr_lambda")))
        by_epoch = self.run.scheduler_interval != "step" and not self._counts_steps(spec)
        if by_epoch and self.run.max_steps is not None:
            raise ConfigError(f"{spec.text} counts epochs, of which a training by max_iters has none")
        if not by_epoch and self.run.accumulate > 1:
            raise ConfigError(f"{spec.text} counts steps, of which MMEngine's iterations are a part with accumulate")
        span = self.run.epochs if by_epoch else self.run.max_steps
        return [{**one, "by_epoch": by_epoch} for one in self._windows(spec, 0, span)]

    def _expression(self, spec: ComponentSpec, text: str) -> list[dict[str, Any]]:
        """The list that an expression is, where it is one that reading makes of schedulers of MMEngine."""
        run = self.run
        iterations = None if run.max_steps is None else run.max_steps * run.accumulate
        defaults = self.registries.optimizers[run.optimizer.name].component.defaults
        rate = {**defaults, **dict(run.optimizer.params)}.get("lr")
        has_rates = any(dict(group.options).get("lr") is not None for group in run.param_groups)
        epochs = run.epochs if iterations is None else None
        rate = rate if isinstance(rate, int | float) else None
        facts = Facts(epochs, iterations, run.accumulate, rate, has_rates)
        found = entries_of(text, facts, run.scheduler_interval == "step")
        if found is None:
            raise ConfigError(f"{spec.text}: MMEngine has no schedulers with the rates of this expression")
        if has_rates and any(one.get("eta_min") for one in found):
            self.notes.append("param_scheduler: eta_min is one rate for all parameters there, and a part of each here")
        return found

    def _counts_steps(self, spec: ComponentSpec) -> bool:
        """Whether a scheduler, or one of its parts, counts steps where nothing else is said."""
        entry, params = self._looked_up(spec)
        own = self.run.scheduler_interval is None and entry.component.interval == "step"
        return own or any(map(self._counts_steps, _parts(params)))

    def _looked_up(self, spec: ComponentSpec) -> tuple[RegistryEntry[Any], dict[str, Any]]:
        """A scheduler, and its parameters with those that are its defaults."""
        resolved = resolve(self.registries.schedulers, spec)
        return resolved.entry, {**resolved.entry.component.defaults, **resolved.written}

    def _windows(self, spec: ComponentSpec, begin: int, span: int | None) -> list[dict[str, Any]]:
        """The schedulers of one spec that begins at `begin` and has `span` epochs or steps."""
        entry, params = self._looked_up(spec)
        name = entry.name
        window = {"begin": begin} if begin else {}
        until = {} if span is None or begin + span == self._whole() else {"end": begin + span}
        match name:
            case "sequential_lr":
                return self._sequence(spec, params, begin, span)
            case "chained":
                return [one for part in _parts(params) for one in self._windows(part, begin, span)]
            case "warmup":
                return self._warmup(spec, params, begin, span)
            case "linear_lr" | "constant_lr" | "polynomial_lr":
                total = params.get("total_iters", span)
                if total is None:
                    raise ConfigError(f"{spec.text}: how many steps there are is not known; write total_iters")
                own = {
                    "linear_lr": ("LinearLR", ("start_factor", "end_factor")),
                    "constant_lr": ("ConstantLR", ("factor",)),
                    "polynomial_lr": ("PolyLR", ("power",)),
                }[name]
                given = {key: params[key] for key in own[1] if (key, params[key]) != ("end_factor", 1.0)}  # the default
                return [{"type": own[0], **given, **window, "end": begin + total + 1}]
            case "cosine_annealing_lr":
                return [self._cosine(spec, params, span) | window | until]
            case "step_lr" | "multi_step_lr" | "exponential_lr":
                kind, keys = _PLAIN[name]
                return [{"type": kind, **{key: params[key] for key in keys}, **window, **until}]
            case "one_cycle_lr":
                return [self._one_cycle(spec, params, span) | window]
            case "reduce_lr_on_plateau":
                return [self._plateau(params) | window]
        raise ConfigError(f"{spec.text}: MMEngine has no scheduler that equals {name}")

    def _whole(self) -> int | None:
        return self.run.max_steps if self.run.max_steps is not None else self.run.epochs

    @staticmethod
    def _cosine(spec: ComponentSpec, params: Mapping[str, Any], span: int | None) -> dict[str, Any]:
        length = params.get("T_max", span)
        if length is None:
            raise ConfigError(f"{spec.text}: how many steps there are is not known; write T_max")
        return {"type": "CosineAnnealingLR", "T_max": length, "eta_min": params["eta_min"]}

    def _sequence(
        self, spec: ComponentSpec, params: Mapping[str, Any], begin: int, span: int | None
    ) -> list[dict[str, Any]]:
        starts = [0, *(_length(one, spec, span) for one in params["milestones"])]
        ends = [*starts[1:], span]
        windows = []
        for part, start, end in zip(_parts(params), starts, ends, strict=True):
            own = None if end is None else end - start
            if end is not span:
                self._check_return(part, own or 0)
            windows += self._windows(part, begin + start, own)
        return [one for one in windows if one.get("factor") != 1.0 or one["type"] != "ConstantLR"]

    def _check_return(self, part: ComponentSpec, length: int) -> None:
        """Checks that a part of a sequence ends at the base rate, from which the next begins in lossreg."""
        entry, params = self._looked_up(part)
        in_time = params.get("total_iters", length) <= length
        comes_back = entry.name == "constant_lr" and (in_time or params["factor"] == 1)
        rises = entry.name == "linear_lr" and in_time and params["end_factor"] == 1
        if not comes_back and not rises:
            raise ConfigError(
                f"{part.text}: MMEngine goes on from the rate at its end, and lossreg from the optimizer's"
            )

    def _warmup(
        self, spec: ComponentSpec, params: Mapping[str, Any], begin: int, span: int | None
    ) -> list[dict[str, Any]]:
        length = _length(params["length"], spec, span)
        window = {"begin": begin} if begin else {}
        rise = {"type": "LinearLR", "start_factor": params["start_factor"], **window, "end": begin + length + 1}
        rest = params.get("schedule")
        return [rise, *(self._windows(rest, begin + length, None if span is None else span - length) if rest else [])]

    def _one_cycle(self, spec: ComponentSpec, params: Mapping[str, Any], span: int | None) -> dict[str, Any]:
        total = params.get("total_steps", span)
        if total is None:
            raise ConfigError(f"{spec.text}: how many steps there are is not known; write total_steps")
        if params["cycle_momentum"]:
            self.notes.append(f"{spec.text}: MMEngine's OneCycleLR leaves the momentum alone")
        keys = ("pct_start", "anneal_strategy", "div_factor", "final_div_factor", "three_phase")
        return {
            "type": "OneCycleLR",
            "eta_max": params["max_lr"],
            "total_steps": total,
            **{key: params[key] for key in keys},
        }

    def _plateau(self, params: Mapping[str, Any]) -> dict[str, Any]:
        monitor = str(params["monitor"])
        mode = direction(monitor, self.registries) if params["mode"] == "auto" else params["mode"]
        self.notes.append(
            f"param_scheduler: monitor={monitor!r} has to be the name that a metric has in your evaluator"
        )
        names = {
            "factor": "factor", "patience": "patience", "threshold": "threshold", "threshold_mode": "threshold_rule",
            "cooldown": "cooldown", "min_lr": "min_value", "eps": "eps",
        }  # fmt: skip
        own = {theirs: params[ours] for ours, theirs in names.items()}
        return {"type": "ReduceOnPlateauLR", "monitor": monitor, "rule": "greater" if mode == "max" else "less", **own}


def _parts(params: Mapping[str, Any]) -> list[ComponentSpec]:
    """The schedules in the parameters of one."""
    values = [one for value in params.values() for one in (value if isinstance(value, list | tuple) else [value])]
    return [one for one in values if isinstance(one, ComponentSpec)]


def _length(value: Any, spec: ComponentSpec, span: int | None) -> int:
    """A length or a milestone, which may be in percent of the span, in epochs or steps."""
    if not isinstance(value, str):
        return int(value)
    if span is None:
        raise ConfigError(f"{spec.text}: {value} is a part of a length that is not known; write a number")
    return max(1, round(span * float(value.strip().rstrip("%")) / 100))


def _text(value: Any, indent: int) -> str:
    """A value as Python has it, split into lines where it is long; `indent` is where it begins."""
    if isinstance(value, Mapping):
        pairs = {str(key): one for key, one in value.items()}
        calls = all(key.isidentifier() for key in pairs)
        items = [(f"{key}=" if calls else f"{key!r}: ", one) for key, one in pairs.items()]
        opening, closing = ("dict(", ")") if calls else ("{", "}")
    elif isinstance(value, list | tuple):
        items, opening, closing = [("", one) for one in value], "[", "]"
    else:
        return "float('inf')" if value == float("inf") else repr(value)
    flat = opening + ", ".join(f"{key}{_text(one, 0)}" for key, one in items) + closing
    if len(flat) + indent <= _WIDTH and "\n" not in flat:
        return flat
    lines = "".join(f"{key}{_text(one, len(key) + 4)},\n" for key, one in items)
    return f"{opening}\n" + "".join(f"    {line}\n" for line in lines.splitlines()) + closing
