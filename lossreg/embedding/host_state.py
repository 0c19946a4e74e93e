"""The state of an optimizer for a host's checkpoint, with the optimizer's text: that of another one is refused."""

from __future__ import annotations

import functools
import logging
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import attrs

from lossreg.embedding.scheduled_groups import has_schedule, keeping_schedule
from lossreg.errors import LossregError, StateError
from lossreg.groups import SCHEDULER
from lossreg.spec import ComponentSpec

if TYPE_CHECKING:
    from torch.optim import Optimizer

    from lossreg.training.choice import Choice

logger = logging.getLogger("lossreg")

KEY = "lossreg"  # in a state, beside torch's `state` and `param_groups`
SCHEDULE_KEY = "lossreg_scheduler"  # of one from parts; an empty text is a constant rate


@attrs.frozen(eq=False)
class StateText:
    """What the states of an optimizer say of it. Torch itself takes the state of any class that has as many parameters.

    Attributes:
        optimizers: What is chosen: the optimizer, and those of single groups of parameters; or their texts.
        patterns: Of the parameter groups: torch takes a state by the places of parameters in these.
        scheduler: What is chosen to move their rates, its text, or `""` for a constant rate; None if that is not told.
    """

    optimizers: Sequence[Choice | str | None]
    patterns: tuple[str, ...] = ()
    scheduler: Choice | str | None = None

    def __reduce__(self) -> tuple[Any, ...]:
        return StateText, (
            self.texts,
            (),
            self.schedule,
        )  # copies for trials have the hooks; torch's own leave them out

    @functools.cached_property
    def texts(self) -> list[str | None]:
        """The optimizers with full ids, None for an object, and the patterns of groups.

        It is made when one is saved: building one takes less.
        """
        groups = [f"param_groups: {', '.join(self.patterns)}"] if self.patterns else []
        return [*map(_text, self.optimizers), *groups]

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
        del optimizer
        state_dict[KEY] = list(self.texts)
        if self.schedule is not None:
            state_dict[SCHEDULE_KEY] = self.schedule

    def check(self, optimizer: Optimizer, state_dict: dict[str, Any]) -> dict[str, Any] | None:
        """A hook before `load_state_dict`; a state that does not say whose it is passes.

        Returns:
            What to load in place of the state, or None.

        Raises:
            StateError: If it is that of an optimizer of another name.
        """
        self._check_schedule(state_dict.get(SCHEDULE_KEY), is_built=has_schedule(optimizer))
        self._check_texts(state_dict)
        return keeping_schedule(optimizer, state_dict)

    def _check_texts(self, state_dict: dict[str, Any]) -> None:
        saved = state_dict.get(KEY)
        if not isinstance(saved, list) or saved == self.texts:
            return
        if None in saved or None in self.texts:  # a class or a function may have moved, or have got a name
            return
        was, now = (" and ".join(map(str, texts)) for texts in (saved, self.texts))
        if [[*_names(text)] for text in saved] != [[*_names(text)] for text in self.texts]:
            raise StateError(
                f"the state to load is that of the optimizer {was}, and this one is {now}: name the optimizer of the "
                "checkpoint, or begin without its state",
                where="the optimizer",
            )
        logger.warning(
            "the optimizer %s goes on from the state of %s: the options of its parameter groups, such as lr, are those "
            "of the state",
            now,
            was,
        )

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


def _names(text: Any) -> Iterator[str]:
    """The names of an optimizer and of those in it, without their parameters."""
    try:
        spec = ComponentSpec.parse(text)
    except (LossregError, TypeError):  # whatever a file may hold
        yield str(text)
        return
    yield from _names_of(spec)


def _names_of(spec: ComponentSpec) -> Iterator[str]:
    yield spec.name
    for one in spec.nested:
        yield from _names_of(one)
    for key, value in spec.params:
        if isinstance(value, ComponentSpec) and key != SCHEDULER:
            yield f"{key}="
            yield from _names_of(value)
