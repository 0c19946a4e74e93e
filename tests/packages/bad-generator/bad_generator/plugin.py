"""A plugin with a fault."""

import lossreg as lr


@lr.hookimpl
def lossreg_losses():
    """One loss, and an end that nobody expects."""
    yield lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")
    raise GeneratorExit("closed too early")
