"""Whether a loss fits a task, by what it declares. Needs no torch."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

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
