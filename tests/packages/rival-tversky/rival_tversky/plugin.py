"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("tversky", "torch.nn:L1Loss", "A loss", target="dense")]
