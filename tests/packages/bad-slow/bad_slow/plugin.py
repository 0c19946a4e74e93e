"""A plugin with a fault."""

import time

import lossreg as lr

time.sleep(1.1)


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("late", "torch.nn:L1Loss", "A loss", target="dense")]
