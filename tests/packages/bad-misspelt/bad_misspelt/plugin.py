"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_loses():
    """One loss."""
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
