"""When a schedule of another program steps, and which metric it follows."""

from __future__ import annotations

import re
from typing import Any

from lossreg.conversion.result import Draft
from lossreg.registry.registries import Registries
from lossreg.values import shown

PLATEAU = "builtin.reduce_lr_on_plateau"
TORCH_PLATEAU = "torch.optim.lr_scheduler.ReduceLROnPlateau"

_OF_PLATEAUS = ("torch", "lightning", "pytorch_lightning")
_ACCURACY = re.compile(r"(val|valid|test)?acc1?|[a-z]*accuracy|top1?")  # of `accuracy/top1`, `val_acc`, `acc_top_1`
_OTHER_ACCURACY = re.compile(r"(top|acc)?([2-9]|\d\d+)")  # `top5`
_ERRORS = ("mae", "l1")  # mean absolute


def torch_plateau(path: str) -> str:
    """A class by its path; Lightning's plateau, which has the name of the metric in addition, is that of torch."""
    root, _, rest = path.partition(".")
    is_plateau = (rest or root).rpartition(".")[2] == "ReduceLROnPlateau"
    return TORCH_PLATEAU if is_plateau and (not rest or root in _OF_PLATEAUS) else path


def followed(name: str | None, mode: Any, draft: Draft, path: str) -> dict[str, Any]:
    """The metric of a run that is what a plateau of another program follows, and in which direction.

    Its validation data are the test data of a run. A direction that does not fit the metric is one of the file's own,
    and stays, which is said. Where a run has no such metric, test_loss is followed in its own direction.

    Args:
        name: What the program calls it; None where only the program knows.
        mode: `min` or `max`, as torch has it.
        draft: Where it is said what is followed.
        path: Where the name stands.

    Returns:
        The parameters `monitor`, unless it is the default, and `mode`.
    """
    if name is None:
        monitor = "test_accuracy" if mode == "max" else "test_loss"
        draft.note(f"{path}: which metric is followed is not in the file; with mode={shown(mode)}, {monitor} is taken")
        return {"mode": mode, **({"monitor": monitor} if mode == "max" else {})}
    own = _own(name)
    if own is None:
        better = {"max": ", of which more is better", "min": ", of which less is better"}.get(str(mode), "")
        draft.leave_out(
            f"{path}: lossreg may have no metric {shown(name)}{better}; test_loss is followed, of which less is better"
        )
        return {"monitor": "test_loss", "mode": "min"}
    split, _, measure = own.partition("_")
    also = f", or validation_{measure} with a validation split" if split == "test" else ""
    if name != own:
        draft.note(f"{path}: {shown(name)} is {own} in lossreg{also}")
    better = "max" if measure == "accuracy" else "min"
    if mode != better:
        draft.note(
            f"{path}: mode={shown(mode)} is as in the file, though {'more' if better == 'max' else 'less'} of {own} is "
            f"better; write mode={better!r} if that was meant"
        )
    return {"monitor": own, "mode": mode}


def _own(name: str) -> str | None:
    """The metric of a run that a name means; None if there is none."""
    lowered = name.lower()
    words = [word for word in re.split(r"[^a-z0-9]+", lowered) if word]
    if "loss" in lowered:
        return "train_loss" if "train" in words else "test_loss"
    if "train" in words:
        return None
    if any(map(_ACCURACY.fullmatch, words)) and not any(map(_OTHER_ACCURACY.fullmatch, words)):
        return "test_accuracy"
    if "mean_absolute_error" in "_".join(words) or any(word in _ERRORS for word in words):
        return "test_mean_absolute_error"
    return None


def direction(monitor: str, registries: Registries) -> str:
    """The mode that `auto` is for a metric of a run: as the metric declares it, and `max` for an accuracy."""
    measure = monitor.partition("_")[2]
    if measure in registries.metrics:
        return "max" if registries.metrics[measure].component.better == "higher" else "min"
    return "max" if measure.endswith("accuracy") else "min"


def counted(interval: str | None, frequency: Any, own: str, plateau: bool, draft: Draft, path: str) -> str | None:
    """After what a schedule steps, `epoch` or `step`; None where lossreg does not step so, which is said.

    Args:
        interval: What is written beside the schedule.
        frequency: How many of them pass from one step to the next, likewise.
        own: What is meant where nothing is written.
        plateau: Whether it follows a metric.
        draft: Where it is said what is left out.
        path: Where they stand.
    """
    why = "a schedule of lossreg steps after each epoch, or after each step"
    if frequency not in (None, 1):
        draft.leave_out(f"{path}.frequency: {shown(frequency)}: {why}; no scheduler is set")
    elif interval not in (None, "epoch", "step"):
        draft.leave_out(f"{path}.interval: {shown(interval)}: {why}; no scheduler is set")
    elif plateau and interval == "step":
        draft.leave_out(f"{path}.interval: 'step': lossreg has a metric once an epoch; no scheduler is set")
    else:
        return interval or own
    return None
