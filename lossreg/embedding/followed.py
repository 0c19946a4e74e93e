"""The metric that a schedule follows, looked up among those that a host has."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from lossreg.errors import ConfigError
from lossreg.suggestions import did_you_mean

if TYPE_CHECKING:
    from lossreg.embedding.host_scheduler import HostScheduler


def followed_value(scheduler: HostScheduler, metrics: Mapping[str, Any], has: str) -> Any:
    """The value that a schedule is stepped with.

    Args:
        scheduler: One that follows a metric.
        metrics: Name -> value, of those that the host has.
        has: Who has them, in an error message: `"this net has"`.

    Raises:
        ConfigError: If the host does not have it.
    """
    monitor = scheduler.monitor
    if monitor is not None and monitor in metrics:
        return metrics[monitor]
    raise ConfigError(no_such_metric(scheduler, metrics, has), setting="scheduler")


def no_such_metric(scheduler: HostScheduler, known: Iterable[str], has: str) -> str:
    """What is wrong where a host does not have the metric that a schedule follows.

    Args:
        scheduler: The schedule.
        known: The metrics that the host has.
        has: Who has them, as above.
    """
    monitor, names = str(scheduler.monitor), sorted(known)
    return (
        f"the scheduler {scheduler.label} follows the metric {monitor!r}, which does not exist: {has} "
        f"{', '.join(names) or 'none'}.{did_you_mean(monitor, names)} Name one that there is in the text of the "
        "scheduler: monitor='NAME'"
    )
