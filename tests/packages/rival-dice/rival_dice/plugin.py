"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [
        lr.Loss("dice", "torch.nn:L1Loss", "A loss", target="dense"),
        lr.Loss("tversky", "torch.nn:L1Loss", "A loss", target="dense"),
    ]
