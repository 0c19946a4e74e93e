"""What parts are made of, looked up and checked: once for the same texts, as long as the registries stay the same."""

from __future__ import annotations

import weakref
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.embedding.host_loss import SharedLoss
from lossreg.embedding.optimizing import Optimizing
from lossreg.embedding.scheduling import Scheduling, optimizers_of
from lossreg.registry.build import ResolvedComponent
from lossreg.training.selection import Request, Selection, select, select_loss

if TYPE_CHECKING:
    from lossreg.data import Task
    from lossreg.embedding.loop_facts import LoopFacts
    from lossreg.registry.registries import Registries

MOST = 32  # texts that are remembered: those of a test or of a fold again and again, not all of a search


@attrs.frozen(eq=False)
class Prepared:
    """What parts are made of. It does not change, so that parts of the same texts can have it in common.

    Attributes:
        selection: What is named or given.
        loss: The loss: the one that is named, else that of the task; None without either.
        scheduling: What schedulers are built from.
        optimizing: What optimizers are built from.
    """

    selection: Selection
    loss: SharedLoss | None
    scheduling: Scheduling
    optimizing: Optimizing

    @classmethod
    def of(cls, request: Request, task: Task | None, loop: LoopFacts) -> Prepared:
        """Looks names up, and checks parameters and settings.

        Args:
            request: What was asked for.
            task: What the targets are, or None.
            loop: What the host says about its loop.

        Raises:
            LossregError: If something is wrong.
        """
        selection = select(request)
        choice = selection.loss
        if choice is None and task is not None:
            choice = select_loss(selection, task, request.registries)
        loss = None if choice is None else SharedLoss.of(choice, task, loop, request.registries)
        scheduling = Scheduling(selection, request.spec.scheduler_interval, loop)
        optimizing = Optimizing.of(request.spec, selection, scheduling)
        return cls(selection, loss, scheduling, optimizing)

    def _values(self) -> Iterator[Any]:
        """The parameters of all that may be built."""
        loss = None if self.loss is None else self.loss.choice
        for choice in (loss, self.selection.scheduler, *optimizers_of(self.selection)):
            for one in (choice, choice and choice.scheduler):
                yield one and one.resolved


def prepare(request: Request, task: Task | None, loop: LoopFacts) -> Prepared:
    """What parts are made of; the same object for the same texts, unless components were added or taken away since.

    Args:
        request: What was asked for.
        task: What the targets are, or None.
        loop: What the host says about its loop.

    Raises:
        LossregError: If something is wrong.
    """
    registries = request.registries
    if request.objects:
        return Prepared.of(request, task, loop)
    groups = repr(request.spec.param_groups)  # of which 0 and False are equal, and not the same
    key = (registries.changes, request.spec, groups, task, loop)
    known = _known.setdefault(registries, {})
    found = known.get(key)
    if found is None:
        found = Prepared.of(request, task, loop)
        if registries.changes == key[0] and all(map(_is_constant, found._values())):
            if len(known) >= MOST:
                oldest, *_ = known  # at once: another thread may change the dictionary between two calls
                known.pop(oldest, None)
            known[key] = found
    return found


_known: weakref.WeakKeyDictionary[Registries, dict[Any, Prepared]] = weakref.WeakKeyDictionary()


def _is_constant(value: Any) -> bool:
    """Whether nothing can change a value: a tensor of class weights would be that of several losses."""
    if isinstance(value, ResolvedComponent):
        return all(map(_is_constant, value.params.values()))
    return all(map(_is_constant, value)) if isinstance(value, tuple) else value is None or type(value) in _CONSTANTS


_CONSTANTS = (bool, int, float, str)
