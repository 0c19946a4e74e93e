"""The state of an optimizer for a host's checkpoint, with the optimizer's text: that of another one is refused."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.embedding.scheduled_groups import has_schedule, keeping_schedule
from lossreg.embedding.state_fit import check_fits
from lossreg.embedding.state_said import KEY, Said, check_same, warn_of_options
from lossreg.training.optim.joint import JointOptimizer

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.groups import ParamGroup
    from lossreg.training.choice import Choice

logger = logging.getLogger("lossreg")

SCHEDULE_KEY = "lossreg_scheduler"  # of one from parts; an empty text is a constant rate


@attrs.frozen(eq=False)
class StateText:
    """What the states of an optimizer say of it. Torch itself takes the state of any class that has as many parameters.

    Attributes:
        optimizers: What is chosen: the optimizer, and those of single groups of parameters; or their texts.
        groups: The parameter groups: torch takes a state by the places of parameters in these.
        scheduler: What is chosen to move their rates, its text, or `""` for a constant rate; None if that is not told.
        freeze: What is frozen, or `""`: it is not in the groups, so that others are in its places; None if it is not
            told.
    """

    optimizers: Sequence[Choice | str | None]
    groups: tuple[ParamGroup, ...] = ()
    scheduler: Choice | str | None = None
    freeze: str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        # Copies for trials have the hooks; torch's own leave them out.
        return StateText, ([*map(_text, self.optimizers)], self.groups, self.schedule, self.freeze)

    @functools.cached_property
    def said(self) -> Said:
        """What is said of optimizers and parameters. It is made when one is saved: building one takes less."""
        # That of a group with an optimizer of its own is among the optimizers.
        options = {one.pattern: "" if one.optimizer and not one.goes_to_rest else one.value for one in self.groups}
        return Said([*map(_text, self.optimizers)], ", ".join(options), options, self.freeze)

    def _said_of(self, optimizer: Optimizer) -> Said:
        """The same, with the classes of what was built."""
        built = optimizer.members if isinstance(optimizer, JointOptimizer) else (optimizer,)
        return attrs.evolve(self.said, classes=[type(one).__name__ for one in built])

    @functools.cached_property
    def schedule(self) -> str | None:
        """The text of the scheduler, or the class of an object."""
        one = self.scheduler
        return one if one is None or isinstance(one, str) else _text(one) or one.label

    def follow(self, optimizer: Optimizer) -> None:
        """Has an optimizer say it in what it saves, and look for it in what it loads."""
        try:
            # torch's methods for this take ten times as long, for a handle that takes the hook away again.
            optimizer._optimizer_state_dict_post_hooks[KEY] = self.note  # type: ignore[index]  # torch counts its keys
            optimizer._optimizer_load_state_dict_pre_hooks[KEY] = self.check  # type: ignore[index]  # see above
        except AttributeError:  # a class that leaves out torch's constructor has no hooks
            return

    def note(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> None:
        """A hook behind `state_dict()`."""
        state_dict |= self._said_of(optimizer).to_state()
        if self.schedule is not None:
            state_dict[SCHEDULE_KEY] = self.schedule

    def check(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
        """A hook before `load_state_dict`; of a state that does not say whose it is, what it holds is looked at.

        Returns:
            What to load in place of the state, or None.

        Raises:
            StateError: If it is that of an optimizer of another name, or of other parameters.
        """
        was, now = Said.of_state(state_dict), self._said_of(optimizer)
        if was is not None:
            check_same(was, now)
        check_fits(optimizer, state_dict, now.patterns)
        self._check_schedule(state_dict.get(SCHEDULE_KEY), is_built=has_schedule(optimizer))
        if was is not None:
            warn_of_options(was, now)
        return keeping_schedule(optimizer, state_dict)

    def _check_schedule(self, was: object, *, is_built: bool) -> None:
        """Says if a training went by a schedule and goes on without one, or the reverse: not all hosts look at that."""
        now = self.schedule
        if not isinstance(was, str) or now is None or bool(was) == bool(now):
            return
        logger.warning(
            "the state of the optimizer is that of a training with %s, and the parts of now have %s; its rates are "
            "those of %s",
            f"the scheduler {was}" if was else "a constant rate",
            f"the scheduler {now}" if now else "none",
            "the schedule" if now and is_built else "the state until a schedule moves them",
        )


def _text(optimizer: Choice | str | None) -> str | None:
    if optimizer is None or isinstance(optimizer, str):
        return optimizer
    return None if optimizer.spec is None else optimizer.spec.text
