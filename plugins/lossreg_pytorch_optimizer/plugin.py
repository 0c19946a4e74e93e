"""The hooks; nothing here imports pytorch_optimizer."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("pytorch_optimizer", "pytorch_optimizer", Path(__file__).parent)


@lr.hookimpl
def lossreg_optimizers() -> lr.ComponentTable:
    """Those that its own registry lists."""
    return BRIDGE.table("optimizer")


@lr.hookimpl
def lossreg_schedulers() -> lr.ComponentTable:
    """Its learning-rate schedules."""
    return BRIDGE.table("scheduler")


@lr.hookimpl
def lossreg_losses() -> lr.ComponentTable:
    """Its losses that compare an output with a target."""
    return BRIDGE.table("loss")
