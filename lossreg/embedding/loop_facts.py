"""What only the loop of a host knows, such as its epochs, and what asks for it. Needs no torch."""

from __future__ import annotations

import operator
from collections.abc import Iterator
from typing import Any

import attrs

from lossreg.errors import BuildError, ConfigError, ExpressionError, LossregError
from lossreg.registry.build import ResolvedComponent
from lossreg.run_spec import Interval
from lossreg.values import shown

#: What a host has to say for a runtime name; `span` is epochs or steps, whichever a schedule counts.
_SAYS = {
    "epochs": "epochs=N",
    "steps_per_epoch": "steps_per_epoch=N",
    "total_steps": "epochs=N, steps_per_epoch=N",
    "num_samples": "num_samples=N",
    "num_classes": "num_classes=N",
}


def _is_count(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


@attrs.frozen(kw_only=True)
class LoopFacts:
    """What a host says about its loop; None where it has not.

    Attributes:
        epochs: How many epochs there are.
        steps_per_epoch: Steps of the optimizer in each: batches divided by those that are accumulated.
        total_steps: All of them; fewer than `epochs * steps_per_epoch` where the loop ends within its last epoch.
        num_samples: Of the training split.
        num_classes: How many classes there are.

    Raises:
        ConfigError: If one is no count, or they contradict each other.

    Example:
        >>> LoopFacts(epochs=3, steps_per_epoch=10).total_steps
        30
    """

    epochs: int | None = None
    steps_per_epoch: int | None = None
    total_steps: int | None = None
    num_samples: int | None = None
    num_classes: int | None = None

    def __attrs_post_init__(self) -> None:
        for name, value in self.known().items():
            if not _is_count(value):
                raise ConfigError(f"{name} is a whole number of at least 1, or None, not {shown(value)}")
        if self.epochs is None or self.steps_per_epoch is None:
            return
        total = self.epochs * self.steps_per_epoch
        if self.total_steps is None:
            object.__setattr__(self, "total_steps", total)
        elif not total - self.steps_per_epoch < self.total_steps <= total:
            raise ConfigError(
                f"total_steps={self.total_steps} does not end in the last of epochs={self.epochs} with steps_per_epoch="
                f"{self.steps_per_epoch}, which are {total} steps; leave one of them out"
            )

    def known(self) -> dict[str, int]:
        """What the host has said, by name."""
        return {name: value for name, value in zip(_FACTS, _values(self), strict=True) if value is not None}

    def described(self, interval: Interval) -> dict[str, Any]:
        """The same for a description: what is not known is there as its name, such as `"<span>"`."""
        names = (*attrs.fields_dict(LoopFacts), "span", "params", "named_params", "optimizer", "model")
        return {**{name: f"<{name}>" for name in names}, **self.runtime(interval)}

    def runtime(self, interval: Interval) -> dict[str, Any]:
        """Runtime name -> value of what is known, for parts whose schedule counts epochs or steps."""
        span = self.epochs if interval == "epoch" else self.total_steps
        known: dict[str, Any] = self.known()
        known["interval"] = interval
        if span is not None:
            known["span"] = span
        return known

    def check_known(self, resolved: ResolvedComponent[Any] | None, interval: Interval) -> None:
        """Checks that all is known that a component goes by.

        Raises:
            ConfigError: That says what to write.
        """
        message = self.asks(resolved, interval)
        if message is not None:
            raise ConfigError(message)

    def asks(self, resolved: ResolvedComponent[Any] | None, interval: Interval) -> str | None:
        """The message that says what to write where a component goes by what is not known; None if all is known."""
        asked = () if resolved is None else tuple(asked_by(resolved))
        known = self.runtime(interval) if asked else {}
        for component, parameter, name in asked:
            if name not in known:
                more = ""
                if interval == "epoch" and name == "span" and self.total_steps is not None:
                    more = ", or scheduler_interval='step' to have it count the total_steps"
                return f"{component} needs {parameter}, which only your loop knows: {says(name, interval)}{more}"
        return None


_FACTS = tuple(attrs.fields_dict(LoopFacts))
_values = operator.attrgetter(*_FACTS)


def untold(facts: LoopFacts, resolved: Any, interval: Interval, error: LossregError) -> str:
    """What else components may be told, as the end of a message of theirs; nothing where that would not help."""
    known = facts.runtime(interval)
    asked = asked_by(resolved, optional=True)
    missing = [name for _, _, name in asked if name not in known]
    if isinstance(error, ExpressionError):
        missing = [name for name in missing if f"needs {name}, which is not known" in error.message]
    elif not isinstance(error, BuildError):
        return ""
    told = dict.fromkeys(says(name, interval) for name in missing)
    return f"; what only your loop knows is told with the parts: {' or '.join(told)}" if told else ""


def says(name: str, interval: Interval) -> str:
    """How a host says what a runtime name stands for.

    Example:
        >>> says("span", "step")
        'write lossreg.parts(..., epochs=N, steps_per_epoch=N)'
    """
    if name == "span":
        name = "epochs" if interval == "epoch" else "total_steps"
    return f"write lossreg.parts(..., {_SAYS[name]})" if name in _SAYS else f"write its value for {name} into the text"


#: What a component is given with the parameters, not told by a loop.
_GIVEN = ("params", "named_params", "optimizer", "model", "interval", "fused", "monitor_better")


_MAY_ASK = (ResolvedComponent, tuple)


def asked_by(value: Any, *, optional: bool = False) -> Iterator[tuple[str, str, str]]:
    """The component, its parameter and the runtime name of all that has to be told.

    A parameter that the factory takes as None while it is not known may be missing: the component says itself where it
    cannot do without.

    Args:
        value: A component with those that are nested in it, or several.
        optional: Whether such parameters count, too.
    """
    if isinstance(value, tuple):
        for item in value:
            yield from asked_by(item, optional=optional)
    if not isinstance(value, ResolvedComponent):
        return
    component = value.entry.component
    for parameter, name in component.runtime_args.items():
        if name in _GIVEN or parameter in value.written:
            continue
        signature = value.entry.signature.parameters.get(parameter)
        if optional or signature is None or signature.required or signature.default is not None:
            yield component.name, parameter, name
    for item in value.params.values():
        if isinstance(item, _MAY_ASK):
            yield from asked_by(item, optional=optional)
