"""Facts of a loop that parts were told, and that its trainer knows otherwise. Needs no torch."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from lossreg.embedding.host_parts import HostParts

logger = logging.getLogger("lossreg")


def warn_overruled(parts: HostParts, told: HostParts, host: str) -> None:
    """Says in the log which facts a trainer has overruled, where there is a schedule that is told them.

    Epochs of a file or a past run are those of another loop, so nothing is said of them.

    Args:
        parts: As they were given to the trainer.
        told: The same parts, told of its loop.
        host: What the trainer is called.
    """
    said, has = parts.loop.known(), told.loop.known()
    differing = [name for name in _independent(said) if has.get(name, said[name]) != said[name]]
    if parts.epochs_are_read and "epochs" in differing:
        differing.remove("epochs")
    if not differing or not parts.schedules_rates:
        return
    logger.warning(
        "the parts were told %s, and %s has %s, which the schedule (%s) goes by: leave %s out of lossreg.parts; a "
        "schedule of another length says so in its text, such as cosine(T_max=%s)",
        _written(said, differing),
        host,
        _written(has, differing),
        parts.texts.get("scheduler", "of an optimizer"),
        " and ".join(f"{name}=" for name in differing),
        parts.loop.runtime(parts.interval).get("span", "N"),
    )


def _independent(said: Mapping[str, int]) -> list[str]:
    """Without the number of all steps where that follows from the others: a loop may end within its last epoch."""
    follows = "epochs" in said and "steps_per_epoch" in said
    return [name for name in said if not (follows and name == "total_steps")]


def _written(facts: Mapping[str, int], names: Iterable[str]) -> str:
    return ", ".join(f"{name}={facts[name]}" for name in names)
