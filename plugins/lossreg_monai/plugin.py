"""The hooks; nothing here imports monai."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("monai", "monai", Path(__file__).parent)


@lr.hookimpl
def lossreg_losses() -> lr.ComponentTable:
    """Its losses that compare an output with a target."""
    return BRIDGE.table("loss")


@lr.hookimpl
def lossreg_models() -> lr.ComponentTable:
    """Its networks."""
    return BRIDGE.table("model")


@lr.hookimpl
def lossreg_optimizers() -> lr.ComponentTable:
    """NovoGrad."""
    return BRIDGE.table("optimizer")


@lr.hookimpl
def lossreg_schedulers() -> lr.ComponentTable:
    """A warm-up and half a cosine."""
    return BRIDGE.table("scheduler")
