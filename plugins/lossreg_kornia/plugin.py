"""The hooks; nothing here imports kornia."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("kornia", "kornia", Path(__file__).parent)


@lr.hookimpl
def lossreg_losses() -> lr.ComponentTable:
    """Its losses that compare an output with a target."""
    return BRIDGE.table("loss")
