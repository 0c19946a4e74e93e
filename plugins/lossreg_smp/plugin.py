"""The hooks; nothing here imports segmentation_models_pytorch."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("smp", "segmentation_models_pytorch", Path(__file__).parent)


@lr.hookimpl
def lossreg_losses() -> lr.ComponentTable:
    """Its losses that compare an output with a target."""
    return BRIDGE.table("loss")


@lr.hookimpl
def lossreg_models() -> lr.ComponentTable:
    """Its networks."""
    return BRIDGE.table("model")
