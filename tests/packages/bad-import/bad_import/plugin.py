"""A plugin with a fault."""

import a_module_that_nobody_has

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
