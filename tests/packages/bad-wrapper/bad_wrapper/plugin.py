"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl(wrapper=True)
def lossreg_losses():
    """One loss."""
    yield
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
