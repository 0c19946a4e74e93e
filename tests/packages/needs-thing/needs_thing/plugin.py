"""A plugin."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("thing", "torch.nn:L1Loss", "A loss", target="dense")]
