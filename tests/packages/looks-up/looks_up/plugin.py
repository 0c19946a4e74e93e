"""A plugin that asks the registries while it is imported."""

import lossreg as lr

SEEN = "dice" in lr.losses


@lr.losses.register("early", target="dense", summary=f"dice was there: {SEEN}")
class Early:
    """Registered while the module was imported."""


@lr.hookimpl
def lossreg_losses():
    """One loss."""
    return [lr.Loss("late", "torch.nn:L1Loss", "A loss", target="dense")]
