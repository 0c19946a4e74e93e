"""A plugin with a fault."""

import lossreg as lr


class UntellableError(Exception):
    """Cannot be shown."""

    def __str__(self):
        """Fails."""
        raise ValueError("no text")


raise UntellableError


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("unreachable", "torch.nn:L1Loss", "A loss", target="dense")]
