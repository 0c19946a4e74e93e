"""A loss for the loop of a host: a module that is given the model's output and the data set's target."""

from __future__ import annotations

import copy
import functools
from collections.abc import Callable
from typing import TYPE_CHECKING, NoReturn, get_args

import attrs
from torch import Tensor, nn

from lossreg.data import TASKS, Task
from lossreg.embedding.host_targets import Given
from lossreg.embedding.loop_facts import LoopFacts
from lossreg.embedding.loss_failure import note_of_failure
from lossreg.errors import ConfigError, LossregError
from lossreg.training.adapting import adapter_builder
from lossreg.training.choice import Choice
from lossreg.training.loss.adapter import LossAdapter, adapt
from lossreg.training.loss.fitting import misfit
from lossreg.training.loss.reduction import reduction_of
from lossreg.values import shown

if TYPE_CHECKING:
    from lossreg.components import Loss
    from lossreg.registry.registries import Registries

_TARGETS = {
    "classification": "class indices (N,)",
    "segmentation": "class indices (N, *)",
    "multilabel": "a 0 or 1 for each class (N, classes)",
    "regression": "numbers (N, *)",
}


class HostLoss(nn.Module):
    """A loss with what its record has done to output and target: softmax, one-hot vectors and the like.

    Args:
        takes: What the loss declares that it takes of the output, such as `"logits"`; `"any"` is whatever the model
            gives.

    Attributes:
        takes: See above.
        adapter: The loss, and what is done before it; there once it is built.
        given: What is asked of output and target.

    Shape:
        - output: `(N, C, *)`, or `(N, *)` for numbers; what the model gives.
        - target: as the data set has it. Class indices may be of any integer type, and what is 0 or 1 for each class of
          any type.
        - returns: 0-d.

    Raises:
        ContractError: If the shapes do not fit, or the value is not a single number.

    Example:
        >>> import lossreg, torch
        >>> l1 = lossreg.parts(loss="l1", task="classification").loss
        >>> l1(torch.tensor([[0.0, 1.0, 0.0]]), torch.tensor([1]))
        tensor(0.)
    """

    takes: str
    adapter: LossAdapter
    given: Given

    def __init__(self, takes: str = "any") -> None:
        super().__init__()
        vars(self)["takes"] = takes

    def holding(self, adapter: LossAdapter, given: Given) -> HostLoss:
        """This module with its loss.

        Args:
            adapter: The loss, and what is done before it.
            given: What is asked of output and target.
        """
        if isinstance(adapter.criterion, nn.Module):
            self._modules["criterion"] = adapter.criterion  # so that its weights and its mode are this module's
        # These and the child not by the module, which looks for the name in all it has.
        vars(self)["adapter"] = adapter
        vars(self)["given"] = given
        return self

    def forward(self, output: Tensor, target: Tensor) -> Tensor:
        """The loss of a batch. Its keywords are `output` and `target`, also where those of the loss itself differ."""
        target = self.given.checked(output, target)
        try:
            value = self.adapter(output, target)
        except Exception as error:
            if not isinstance(error, LossregError):
                error.add_note(note_of_failure(self.given.label, self.given.task, self.adapter, output, target))
            raise
        if getattr(value, "ndim", 0):  # of an object's own loss it may be no tensor
            self.given.refuse_value(value, self.adapter)
        return value

    def summed(self) -> HostLoss | None:
        """The same loss as a sum in place of a mean, with the same weights; None if it has no mean to replace."""
        summed = self.adapter.summed()
        return None if summed is None else HostLoss(self.takes).holding(summed, self.given)

    def is_sum(self, output: Tensor, target: Tensor) -> bool:
        """Whether its value for a batch is the sum of its values for parts of the batch, as a run finds it.

        `reduction="sum"` alone does not say so: Dice adds up over classes. A copy of the loss is called.

        Args:
            output: Of the model for a batch.
            target: Of the batch.
        """
        adapter = self.adapter
        if getattr(adapter.criterion, "reduction", None) != "sum":
            return False
        tried = attrs.evolve(adapter, criterion=copy.deepcopy(adapter.criterion))
        target = self.given.checked(output, target)
        return reduction_of(adapter, tried, output, target, may_be_ignored=False).rule == "sum"

    def extra_repr(self) -> str:
        """What is done before the loss."""
        return f"input={self.adapter.input}, target={self.adapter.target}"


@attrs.frozen(eq=False)
class SharedLoss:
    """The loss of the parts: looked up, adapted to its task and checked, to be built for one and another.

    Attributes:
        choice: The loss.
        task: The task that it is adapted to.
        takes: What it declares that it takes of the output.
        make: Builds it, or raises the error that asks for what the loop has not said yet.
        is_sure: Whether the task is that of the targets, and not one of several that the loss takes alike.
        given: What is asked of output and target; None for an object, which has to be seen.
    """

    choice: Choice
    task: Task
    takes: str
    make: Callable[[], LossAdapter]
    is_sure: bool
    given: Given | None

    def into(self, empty: HostLoss) -> HostLoss:
        """Builds it.

        Args:
            empty: The module that becomes the loss.
        """
        adapter = self.make()
        given = self.given or Given.of(self.choice.label, self.task, adapter, is_sure=self.is_sure)
        return empty.holding(adapter, given)

    @classmethod
    def of(cls, choice: Choice, given: Task | None, loop: LoopFacts, registries: Registries) -> SharedLoss:
        """Checks it.

        Args:
            choice: The loss.
            given: The task that the host names, or None.
            loop: What the host says about its loop.
            registries: Where names are looked up.

        Raises:
            LossregError: If it does not fit the task, or lacks a parameter.
        """
        task = task_of(choice, given)
        takes = "any" if choice.component is None else choice.component.input
        is_sure = given is not None or (choice.component is not None and len(_fitting(choice.component)) == 1)
        asked = None
        if choice.component is not None:
            asked = Given.of(choice.label, task, adapt(_nothing, choice.component, task), is_sure=is_sure)
        untold = loop.asks(choice.resolved, "epoch")
        make: Callable[[], LossAdapter] = functools.partial(_refuse, untold or "")
        if untold is None:
            make = adapter_builder(choice, task, loop.runtime("epoch"), registries)
        return cls(choice, task, takes, make, is_sure, asked)


def _refuse(message: str) -> NoReturn:
    raise ConfigError(message)


def task_of(choice: Choice, given: Task | None) -> Task:
    """The task that a loss is adapted to; of a loss that takes all of its tasks alike, any of them.

    Args:
        choice: The loss.
        given: The task that the host names, or None.

    Raises:
        ConfigError: If the loss does not fit the task, or what is done to output and target depends on the task.
    """
    component = choice.component
    if given is not None:
        unfit = None if component is None else misfit(component, given)
        if unfit is not None:
            raise ConfigError(f"the loss {choice.label} does not fit a {given}: {unfit}", setting="loss")
        return given
    if component is None:
        return "classification"
    fits = _fitting(component)
    adapters = [adapt(_nothing, component, task) for task in fits]
    done = {(one.input, one.target, one.target != "unchanged" and one.from_indices) for one in adapters}
    if len(done) == 1:
        return fits[0]
    meant = "; ".join(f"task={task!r} for targets that are {_TARGETS[task]}" for task in fits)
    raise ConfigError(
        f"the loss {choice.label} is adapted to what the targets are: write lossreg.parts(..., task=...): {meant}",
        setting="task",
    )


def _fitting(component: Loss) -> list[Task]:
    """The tasks that a loss fits."""
    tasks: tuple[Task, ...] = get_args(Task)
    return [task for task in tasks if misfit(component, task) is None]


def check_task(task: object) -> None:
    """Checks the name of a task.

    Raises:
        ConfigError: If there is none of this name.
    """
    if task is not None and task not in TASKS:
        raise ConfigError(f"task is one of {', '.join(TASKS)}, not {shown(task)}", setting="task")


def _nothing(output: Tensor, target: Tensor) -> Tensor:
    del target
    return output
