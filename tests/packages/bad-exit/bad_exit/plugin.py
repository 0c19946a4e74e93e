"""A plugin with a fault."""

import sys

import lossreg as lr

sys.exit(3)


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
