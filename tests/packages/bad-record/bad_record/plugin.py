"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """A record of another kind."""
    return [lr.Model("unreachable", "torch.nn:Identity", "A model")]
