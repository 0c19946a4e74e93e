"""A plugin with a fault."""

import lossreg as lr


def lossreg_losses():
    """One loss."""
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
