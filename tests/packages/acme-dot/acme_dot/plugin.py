"""A plugin whose distribution has a dot in its name, and whose entry point names an extra."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("pinball", "torch.nn:L1Loss", "A loss", target="dense")]
