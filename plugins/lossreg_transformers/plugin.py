"""The hooks; nothing here imports transformers."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("transformers", "transformers", Path(__file__).parent)


@lr.hookimpl
def lossreg_schedulers() -> lr.ComponentTable:
    """Its learning-rate schedules."""
    return BRIDGE.table("scheduler")


@lr.hookimpl
def lossreg_optimizers() -> lr.ComponentTable:
    """Adafactor, with a rate of its own."""
    return BRIDGE.table("optimizer")
