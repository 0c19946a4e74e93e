"""The hooks; nothing here imports timm."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("timm", "timm", Path(__file__).parent)


@lr.hookimpl
def lossreg_losses() -> lr.ComponentTable:
    """Those of classes, one or several for each sample."""
    return BRIDGE.table("loss")


@lr.hookimpl
def lossreg_optimizers() -> lr.ComponentTable:
    """Those that timm's own registry lists."""
    return BRIDGE.table("optimizer")


@lr.hookimpl
def lossreg_models() -> lr.ComponentTable:
    """Those that timm's own registry lists, without pretrained weights."""
    return BRIDGE.table("model")
