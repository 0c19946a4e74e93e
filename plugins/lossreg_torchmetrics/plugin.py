"""The hook; nothing here imports torchmetrics."""

from pathlib import Path

import lossreg as lr
from lossreg_bridges.bridge import Bridge

BRIDGE = Bridge("torchmetrics", "torchmetrics", Path(__file__).parent)


@lr.hookimpl
def lossreg_metrics() -> lr.ComponentTable:
    """Its metrics of classes, numbers and pictures."""
    return BRIDGE.table("metric")
