"""Whether a loss fits a task, by what it declares. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from lossreg.data import has_indices
from lossreg.errors import ConfigError

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.data import Task

#: What a loss compares with, in a sentence; it fits all tasks if it is not here.
_TAKES: Mapping[str, str] = {
    "index": "class indices",
    "multilabel": "a 0 or 1 for each class",
    "signs": "a -1 or 1 for each class",
    "label_lists": "lists of classes",
    "probabilities": "a probability for each class",
}
#: The targets that cannot be made of those that a task has, and what these are; class indices become all of them.
_MISFITS: Mapping[str, tuple[frozenset[str], str]] = {
    "regression": (frozenset(_TAKES), "numbers to predict"),
    "multilabel": (frozenset({"index", "probabilities"}), "a 0 or 1 for each class"),
}
#: The targets of the losses that are made for a task.
_MADE_FOR: Mapping[str, tuple[str, ...]] = {
    "classification": ("index",),
    "segmentation": ("index",),
    "regression": ("dense",),
    "multilabel": ("multilabel", "signs", "label_lists"),
}
_PROBABILITIES = ("probabilities", "log_probabilities", "label_probabilities")


def misfit(component: Loss, task: Task) -> str | None:
    """Why a loss cannot be trained with on the data sets of a task; None if it can.

    Example:
        >>> from lossreg import Loss
        >>> misfit(Loss("focal", "focal:Focal", target="index"), "regression")
        'the loss takes class indices, but the targets are numbers to predict'
    """
    refused, targets = _MISFITS.get(task, (frozenset(), ""))
    if component.target in refused:
        return f"the loss takes {_TAKES[component.target]}, but the targets are {targets}"
    if task == "regression" and component.input in _PROBABILITIES:
        return f"the loss takes {component.input}, which a regression does not have"
    return None


def is_for(component: Loss, task: Task) -> bool:
    """Whether a loss is made for a task, so that it is worth naming where another one does not fit."""
    return component.is_fed and component.target in _MADE_FOR[task] and misfit(component, task) is None


def shape_misfit(output: tuple[int, ...], targets: tuple[int, ...], task: Task, which: str = "") -> str | None:
    """Why an output and targets of these shapes do not fit; None if they do. Nothing is broadcast.

    Args:
        output: Of the model.
        targets: Of the data set.
        task: What the targets are.
        which: Of which part of the data they are, for the sentence.

    Example:
        >>> shape_misfit((16, 3), (16,), "classification")
    """
    shapes = f"the model gives {output} for targets {targets}{which}"
    if not has_indices(task):
        if output == targets:
            return None
        return f"{shapes}; they must be of one shape{_shape_hint(output, targets)}"
    if len(output) >= 2 and output[:1] + output[2:] == targets:
        return None
    return (
        f"{shapes}; for a {task} the output is (N, classes, *) where the targets are (N, *)"
        f"{_shape_hint(output, targets)}"
    )


def _shape_hint(output: tuple[int, ...], targets: tuple[int, ...]) -> str:
    if targets[:1] == (1,) and output[:1] != (1,):
        return "; squeeze() takes the batch's dimension away as well: squeeze(-1) or flatten(1) keeps it"
    if output == (*targets, 1):
        return "; targets.unsqueeze(-1) gives the targets that shape, or squeeze(-1) the output that of the targets"
    if targets == (*output, 1):
        return "; unsqueeze(-1) gives the output that shape, or targets.squeeze(-1) the targets that of the output"
    return ""


def value_misfit(got: str, made_of: str, reduction: object) -> str:
    """What is wrong with the value of a loss.

    Args:
        got: What it is.
        made_of: What it is the value for.
        reduction: Of the loss.
    """
    hint = "; reduction='mean' or 'sum' gives one" if reduction == "none" else ""
    return f"{got}{made_of}, but training needs a single number{hint}"


def check_fed(component: Loss, label: str) -> None:
    """Checks that a run has what a loss takes.

    Args:
        component: What the loss declares.
        label: The loss in an error message.

    Raises:
        ConfigError: If not.
    """
    if not component.is_fed:
        *first, last = component.takes
        takes = f"{', '.join(first)} and {last}" if first else last
        raise ConfigError(
            f"the loss {label} takes {takes}, and a run has the model's output and the target alone; "
            f"lossreg.losses.build({component.name!r}, ...) builds it for a training loop of your own",
            setting="loss",
        )
