"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("lost", "bad_factory_module.nowhere:Loss", "A loss", target="dense")]
