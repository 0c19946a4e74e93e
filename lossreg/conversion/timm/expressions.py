"""What of train.py an expression of `lambda_lr` is made of: what `schedules` does, the other way round."""

from __future__ import annotations

import ast
from typing import Any

import attrs

from lossreg.conversion.expression_shapes import first_fitted, fitted, number_in, parsed, same, terms
from lossreg.conversion.result import Draft
from lossreg.conversion.timm.args import Args
from lossreg.conversion.timm.schedules import read_schedule
from lossreg.errors import ConfigError
from lossreg.spec import ComponentSpec

_RISES = (
    "START + SLOPE * PASSED / LENGTH if epoch < WARMUP else REST",
    "START - SLOPE * PASSED / LENGTH if epoch < WARMUP else REST",
)
_SHARES = ("TIME / SPAN", "TIME % SPAN / SPAN", "(TIME / SPAN) ** POWER", "(TIME % SPAN / SPAN) ** POWER")
#: What of a whole is left of it at a time, for each kind of schedule.
_CURVES = {
    "cosine": ("(1 + cos(pi * TIME / SPAN))", *(f"(1 + cos(pi * ({share})))" for share in _SHARES)),
    "poly": tuple(f"(1 - ({share})) ** RATE" for share in _SHARES),
}
#: The heights that it has then: of cycles that are each lower than the one before, of all alike, or of the whole rate.
_HEIGHTS = (
    "LEAST + FACTOR * (DECAY ** (TIME // SPAN) - LEAST) * {}", "LEAST + (DECAY ** (TIME // SPAN) - LEAST) * {}",
    "FACTOR * DECAY ** (TIME // SPAN) * {}", "DECAY ** (TIME // SPAN) * {}", "LEAST + FACTOR * {}", "FACTOR * {}", "{}",
)  # fmt: skip
_SHAPES = {
    word: tuple(height.format(curve) for height in _HEIGHTS for curve in curves) for word, curves in _CURVES.items()
}
_DIGITS = (3, 6, 9, 12, 17)  # of rates, which are written as short as they are read again


@attrs.frozen
class Counts:
    """What an expression counts.

    Attributes:
        epochs: Of the run.
        rate: The optimizer's.
        by_steps: Whether the schedule steps after each step.
        layer_decay: As train.py has it; None for none.
    """

    epochs: int
    rate: float
    by_steps: bool
    layer_decay: float | None

    def length(self, node: ast.expr | None) -> float | None:
        """The epochs that a length in an expression has."""
        if self.by_steps and node is not None:
            holes = fitted("LENGTH * steps_per_epoch", node)
            node = None if holes is None else holes["LENGTH"]
        return self.epochs if isinstance(node, ast.Name) and node.id == "epochs" else number_in(node)

    def starts_at(self, time: ast.expr) -> float | None:
        """The epoch from which a time counts."""
        holes = fitted("step - BEGIN" if self.by_steps else "epoch - BEGIN", time)
        return 0 if holes is None else self.length(holes["BEGIN"])


def arguments_of(text: str, counts: Counts) -> dict[str, Any] | None:
    """The arguments with which train.py has the rates of an expression.

    They are read again, so that they are given where that comes to this same expression, and nowhere else.

    Args:
        text: The expression.
        counts: What it counts.

    Returns:
        The arguments, `sched` and all that go with it; None if none have these rates.
    """
    tree = parsed(text)
    found = None if tree is None else _parts(tree, counts)
    if tree is None or found is None:
        return None
    for digits in _DIGITS:
        rates = {key: float(f"{found[key]:.{digits}g}") for key in ("warmup_lr", "min_lr") if key in found}
        args = found | rates
        if _reads_as(tree, args, counts):
            return args
    return None


def _parts(tree: ast.expr, counts: Counts) -> dict[str, Any] | None:
    """What an expression seems to be made of, with rates as they come out of a product; None if it is not known."""
    args: dict[str, Any] = {"warmup_epochs": 0}
    rise = first_fitted(_RISES, tree)
    if rise is not None:
        start, warmup = number_in(rise["START"]), number_in(rise["WARMUP"])
        if start is None or warmup is None or warmup != int(warmup):
            return None
        args |= {"warmup_epochs": int(warmup), "warmup_lr": start * counts.rate}
        tree = rise["REST"]
    cut = fitted("BODY if epoch < END else LOWEST", tree)
    end = None if cut is None else number_in(cut["END"])
    body = _body(tree if cut is None else cut["BODY"], counts)
    if body is None:
        return None
    shape, begin, span = body
    args |= shape
    if begin:
        args["warmup_prefix"] = True
    end = counts.epochs if end is None else int(end)
    of_cycles = end - (args["warmup_epochs"] if begin else 0)
    if "lr_cycle_limit" in args:
        args["lr_cycle_limit"] = max(1, int(of_cycles // span)) if span else 1
    args["epochs"] = int(span) if span and "lr_cycle_limit" in args else of_cycles
    if counts.epochs > end:
        args["cooldown_epochs"] = counts.epochs - end
    return args | ({"sched_on_updates": True} if counts.by_steps else {})


def _body(node: ast.expr, counts: Counts) -> tuple[dict[str, Any], float | None, float | None] | None:
    """The schedule behind a warm-up: its arguments, from when it counts, and how many epochs it repeats after."""
    if number_in(node) == 1:
        return {"sched": "constant"}, None, None
    for word, shapes in _SHAPES.items():
        holes = first_fitted(shapes, node)
        if holes is not None:
            return _cycle(word, holes, counts)
    holes = fitted("RATE ** (TIME // LENGTH)", node)
    if holes is not None:
        args = {"sched": "step", "decay_epochs": counts.length(holes["LENGTH"]), "decay_rate": number_in(holes["RATE"])}
        return args, counts.starts_at(holes["TIME"]), None
    holes = fitted("RATE ** PASSED", node)
    return None if holes is None else _milestones(holes, counts)


def _cycle(
    word: str, holes: dict[str, ast.expr], counts: Counts
) -> tuple[dict[str, Any], float | None, float | None] | None:
    numbers = {key: number_in(holes[key]) for key in ("LEAST", "DECAY", "POWER", "RATE") if key in holes}
    if None in numbers.values():
        return None
    names = {"DECAY": "lr_cycle_decay", "POWER": "lr_k_decay", "RATE": "decay_rate"}
    args: dict[str, Any] = {"sched": word, "min_lr": (numbers.pop("LEAST", None) or 0.0) * counts.rate}
    args |= {names[key]: value for key, value in numbers.items()}
    if "DECAY" in numbers:
        args["lr_cycle_limit"] = 1
    return args, counts.starts_at(holes["TIME"]), counts.length(holes["SPAN"]) if "DECAY" in numbers else None


def _milestones(holes: dict[str, ast.expr], counts: Counts) -> tuple[dict[str, Any], float | None, float | None] | None:
    """The schedule by milestones, to each of which timm comes an epoch, or a step, early."""
    pattern = "TIME + 1 >= WHEN" if counts.by_steps else "TIME >= WHEN"
    passed = [fitted(pattern, one) for one in terms(holes["PASSED"], ast.Add)]
    whens = [None if one is None else counts.length(one["WHEN"]) for one in passed]
    if passed[0] is None or None in whens:
        return None
    more = 0 if counts.by_steps else 1
    at = [one + more for one in whens if one is not None]
    args = {
        "sched": "multistep",
        "decay_milestones": [int(one) if one == int(one) else one for one in at],
        "decay_rate": number_in(holes["RATE"]),
    }
    return args, counts.starts_at(passed[0]["TIME"]), None


def _reads_as(tree: ast.expr, args: dict[str, Any], counts: Counts) -> bool:
    """Whether arguments are read as an expression, in a run of the same length."""
    draft = Draft()
    try:
        read_schedule(Args({**args, "layer_decay": counts.layer_decay}, ""), counts.rate, draft)
    except (ConfigError, ArithmeticError):
        return False
    text = draft.settings.get("scheduler")
    spec = None if text is None else ComponentSpec.parse(text)
    written = None if spec is None else parsed(str(dict(spec.params).get("lr_lambda", "")))
    by_steps = draft.settings.get("scheduler_interval") == "step"
    return (
        written is not None
        and same(written, tree)
        and draft.settings["epochs"] == counts.epochs
        and by_steps == counts.by_steps
    )
