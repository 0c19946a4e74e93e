"""Nested schedulers: what the whole follows and counts, and what the loop tells each in its own span."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import attrs

from lossreg.errors import ConfigError
from lossreg.plugins.provenance import BUILTIN
from lossreg.registry.build import ResolvedComponent


@attrs.frozen(eq=False)
class Nested:
    """A nested scheduler that is not built yet: a function from its span, which builds it.

    Attributes:
        resolved: The scheduler, ready to be built.
        positional: What its factory takes first: the optimizer.
        runtime: What the loop tells the scheduler around it.
    """

    resolved: ResolvedComponent[Any]
    positional: tuple[Any, ...]
    runtime: Mapping[str, Any]

    def __call__(self, span: int | None = None) -> Any:
        """Builds it.

        Args:
            span: How many epochs or steps, whichever the scheduler counts, it has; None if that is not known.
        """
        return self.resolved.build(*self.positional, runtime=runtime_of(span, self.runtime))

    @property
    def monitor(self) -> str | None:
        """The metric that its `step` takes, or None."""
        return monitor_of(self.resolved)

    def __repr__(self) -> str:
        return self.resolved.spec.text


def runtime_of(span: int | None, runtime: Mapping[str, Any]) -> dict[str, Any]:
    """What the loop would tell a scheduler if the run had only its span.

    Args:
        span: Epochs or steps, whichever the scheduler counts; None if they are not known.
        runtime: Runtime name -> value, of the whole run.

    Example:
        >>> runtime = {"interval": "step", "steps_per_epoch": 4, "epochs": 3, "total_steps": 12, "span": 12}
        >>> runtime_of(5, runtime)
        {'interval': 'step', 'steps_per_epoch': 4, 'epochs': 2, 'total_steps': 5, 'span': 5}
    """
    if span is None:
        return {name: value for name, value in runtime.items() if name not in ("span", "epochs", "total_steps")}
    own = {**runtime, "span": span}
    steps = runtime.get("steps_per_epoch")
    if steps is not None and "interval" in runtime:
        by_epoch = runtime["interval"] == "epoch"
        own["epochs"] = span if by_epoch else -(-span // steps)  # the last may be cut off
        own["total_steps"] = span * steps if by_epoch else span
    return own


def monitor_of(scheduler: ResolvedComponent[Any]) -> str | None:
    """The metric that a scheduler follows: its own, or that of a scheduler that it composes; None if there is none.

    Raises:
        ConfigError: If there are several.
    """
    component = scheduler.entry.component
    if component.monitor is not None:
        arguments = {**component.defaults, **scheduler.params}
        return str(arguments.get("monitor", component.monitor))
    if not component.composes:
        return None
    followed = dict.fromkeys(filter(None, map(monitor_of, nested_in(scheduler))))
    if len(followed) > 1:
        raise ConfigError(
            f"scheduler {component.name} holds schedules that follow {' and '.join(followed)}; all of a run's schedule "
            "follows one metric"
        )
    return next(iter(followed), None)


def names_monitor(scheduler: ResolvedComponent[Any]) -> bool:
    """Whether a scheduler names the metric that it follows, or one that it composes does; a plugin's always does."""
    if scheduler.entry.component.monitor is not None:
        return "monitor" in scheduler.written or scheduler.entry.provenance.plugin != BUILTIN
    return any(map(names_monitor, nested_in(scheduler)))


def interval_of(scheduler: ResolvedComponent[Any]) -> Any:
    """What a scheduler counts by itself; one that composes others counts steps if one of them does."""
    component = scheduler.entry.component
    if component.composes and "step" in map(interval_of, nested_in(scheduler)):
        return "step"
    return component.interval


def nested_in(value: Any) -> Iterator[ResolvedComponent[Any]]:
    """The components that stand directly in the parameters of one, or in a list."""
    for item in value.params.values() if isinstance(value, ResolvedComponent) else value:
        if isinstance(item, ResolvedComponent):
            yield item
        elif isinstance(item, tuple):
            yield from nested_in(item)
