"""What the state of an optimizer says of whose it is, against what the optimizer is that is to load it."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lossreg.errors import LossregError, StateError
from lossreg.groups import REST, SCHEDULER
from lossreg.spec import ComponentSpec

logger = logging.getLogger("lossreg")

KEY = "lossreg"  # in a state, beside torch's `state` and `param_groups`
CLASSES_KEY = "lossreg_classes"  # those of the optimizers that were built, without their modules
OPTIONS_KEY = "lossreg_param_groups"  # pattern -> its options
FREEZE_KEY = "lossreg_freeze"  # an empty text: nothing
WAY_OUT = "or begin a new training with the weights alone"  # what users of every trainer can do
_GROUPS = "param_groups: "  # before the patterns, behind the optimizers


@attrs.frozen
class Said:
    """What is said of an optimizer and its parameters.

    Attributes:
        optimizers: Their texts with full ids; None for an object.
        patterns: The patterns of the parameter groups and the presets, in their order.
        options: Pattern -> the text of its options, and True for a preset; None in states of earlier versions.
        freeze: What is frozen; None where that is not told, as in states of earlier versions.
        classes: What was built, which is all that there is to say of an object; None where that is not told, likewise.
    """

    optimizers: list[str | None]
    patterns: str = ""
    options: Mapping[str, str | bool] | None = None
    freeze: str | None = None
    classes: list[str] | None = None

    @classmethod
    def of_state(cls, state_dict: Mapping[str, Any]) -> Said | None:
        """What a state says; None if nothing. A file may hold anything."""
        keys = (KEY, OPTIONS_KEY, FREEZE_KEY, CLASSES_KEY)
        texts, options, freeze, classes = (state_dict.get(key) for key in keys)
        if not isinstance(texts, list):
            return None
        texts = [None if text is None else str(text) for text in texts]
        patterns = [text.removeprefix(_GROUPS) for text in texts if text and text.startswith(_GROUPS)]
        return cls(
            [text for text in texts if not (text and text.startswith(_GROUPS))],
            ", ".join(patterns),
            options if isinstance(options, dict) and all(isinstance(one, str) for one in options) else None,
            freeze if isinstance(freeze, str) else None,
            [*map(str, classes)] if isinstance(classes, list) else None,
        )

    def to_state(self) -> dict[str, Any]:
        """What is said in a state; an optimizer of torch, and earlier versions, pass over what they do not know."""
        texts = [*self.optimizers, *([_GROUPS + self.patterns] if self.patterns else [])]
        told = {FREEZE_KEY: self.freeze, CLASSES_KEY: self.classes}
        known = {key: value for key, value in told.items() if value is not None}
        return {KEY: texts, OPTIONS_KEY: dict(self.options or {}), **known}

    @property
    def text(self) -> str:
        """All of it but the options of groups, for an error message."""
        groups = [_GROUPS + self.patterns] if self.patterns else []
        return " and ".join([self.optimizer, *groups, *([f"freeze: {self.freeze}"] if self.freeze else [])])

    @property
    def optimizer(self) -> str:
        """The optimizers, for a message; an object by its class."""
        objects = ["an object without a name"] * len(self.optimizers)
        if self.classes is not None and len(self.classes) == len(self.optimizers):
            objects = self.classes
        return " and ".join(text or one for text, one in zip(self.optimizers, objects, strict=True))

    @property
    def places(self) -> tuple[list[str], set[str]]:
        """What the places of parameters go by: the patterns in their order, and the presets in any.

        Another number of `layer_decay` changes the rates alone.
        """
        if self.options is None:
            return self.patterns.split(", "), set()
        own = [f"{one} is rest" if text == REST else one for one, text in self.options.items() if text is not True]
        return own, {one.partition("(")[0] for one, text in self.options.items() if text is True}


def check_same(was: Said, now: Said) -> None:
    """Checks that a state is that of an optimizer of the same name, for the same parameters in the same places.

    Args:
        was: What the state says.
        now: What the optimizer is.

    Raises:
        StateError: That names both, and says what differs.
    """
    differs = list(filter(None, [_other_optimizer(was, now), _other_groups(was, now), _other_freeze(was, now)]))
    if differs:
        raise StateError(
            f"the state to load is that of the optimizer {was.text}, and this one is {now.text}: {'; '.join(differs)}, "
            f"{WAY_OUT}",
            where="the optimizer",
        )


def _other_optimizer(was: Said, now: Said) -> str | None:
    if _has_objects(was, now):
        is_same = was.classes is None or now.classes is None or was.classes == now.classes
    else:
        is_same = _all_names(was) == _all_names(now)
    return None if is_same else "name the optimizer of the checkpoint"


def _other_groups(was: Said, now: Said) -> str | None:
    if was.options is None:  # of an earlier version
        now = attrs.evolve(now, options=None)
    (own, presets), (own_now, presets_now) = was.places, now.places
    if (own, presets) == (own_now, presets_now):
        return None
    if not was.patterns:
        return "leave param_groups out, as in the checkpoint"
    if sorted(own) == sorted(own_now) and presets == presets_now:
        return (
            "the parameter groups are in another order, and torch takes a state by their places: write param_groups in "
            "the order of the checkpoint"
        )
    return "the parameter groups differ: write param_groups as in the checkpoint"


def _other_freeze(was: Said, now: Said) -> str | None:
    if was.freeze is None or now.freeze is None:
        return None
    if sorted(was.freeze.split(", ")) == sorted(now.freeze.split(", ")):
        return None
    as_it_was = f"freeze {was.freeze!r}" if was.freeze else "leave freeze out"
    return (
        f"what is frozen differs, and torch takes a state by the places of what is trained: {as_it_was}, as in the "
        "checkpoint, and change what is trained once the state is loaded (requires_grad_, add_param_group)"
    )


def warn_of_options(was: Said, now: Said) -> None:
    """Says if the options of the optimizer or of its groups are not those of the state, which torch takes.

    Args:
        was: What the state says, of the same optimizer.
        now: What the optimizer is.
    """
    differs = was.optimizers != now.optimizers and not _has_objects(was, now)
    groups_differ = was.options is not None and was.options != now.options
    if differs or groups_differ:
        texts = [
            f"{one.optimizer} with param_groups {one.options}" if groups_differ else one.text for one in (now, was)
        ]
        logger.warning(
            "the optimizer %s goes on from the state of %s: the options of its parameter groups, such as lr, are those "
            "of the state",
            *texts,
        )


def _has_objects(was: Said, now: Said) -> bool:
    """Whether there are objects among the optimizers: a class may have got a name by now, as what a function builds."""
    return None in was.optimizers or None in now.optimizers


def _all_names(said: Said) -> list[list[str]]:
    return [[*_names(text)] for text in said.optimizers]


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
