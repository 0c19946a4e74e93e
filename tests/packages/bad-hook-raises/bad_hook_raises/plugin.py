"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    raise RuntimeError("no losses today")
